#!/usr/bin/env bash
# Runs the test stages "cores" and "sockets" under AddressSanitizer or ThreadSanitizer, each with
# its own build folder. Reports go to standard output, and any report fails the run.
#
#   Tools/sanitize.sh address|thread [OPTION OF swift test ...]
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
kind=${1:-}
shift || true
case "$kind" in
  address) scratch=.build-asan ;;
  thread) scratch=.build-tsan ;;
  *) echo "usage: Tools/sanitize.sh address|thread [OPTION OF swift test ...]" >&2; exit 64 ;;
esac
swift=${SWIFT:-swift}
cd "$root" || exit 1
# Leak detection is off, because the Swift runtime never frees its metadata and child processes of
# the tests end by signals.
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:${ASAN_OPTIONS:-}
export TSAN_OPTIONS=halt_on_error=0:exitcode=66:second_deadlock_stack=1:suppressions=$root/Tools/tsan.suppressions:${TSAN_OPTIONS:-}
# Otherwise the backtracer runs for each report that ends a process.
export SWIFT_BACKTRACE=enable=no
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-2}
# Tests that start executables run without a sanitizer: the executables are not instrumented, and
# the tests' timeouts are too short for instrumented ones.
export TUTTI_ONLY_TESTS=${TUTTI_ONLY_TESTS:-ModelTests,PlanningTests,WireTests,BusTests,InferenceCoreTests,InferenceTests,StoreTests,AgentTests,ServiceKitTests,ServiceCoreTests,GatewayTests,MonitorTests,DispatcherTests,RegistryTests,AccessTests,MoneyTests,AccountTests,SpendingTests,BillingJournalTests,FuzzReplayTests}
options=(--sanitize "$kind" --scratch-path "$scratch")
"$root/Tools/build.sh" "$swift" build --build-tests "${options[@]}" || exit 1
preload=
if [ "$kind" = thread ]; then
  preload=$root/$scratch/tsan_mutex.so
  "${CC:-$(dirname "$(command -v "$swift")")/clang}" -shared -fPIC -O1 -o "$preload" \
    "$root/Tools/tsan_mutex.c" -ldl || exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
LD_PRELOAD=$preload "$swift" test --skip-build "${options[@]}" "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
reports=$(grep -cE '(ERROR: AddressSanitizer|WARNING: ThreadSanitizer)' "$log")
echo "sanitize $kind: $reports reports, tests exited with code $status"
[ "$reports" -eq 0 ] || exit 1
exit "$status"
