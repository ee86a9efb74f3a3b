#!/usr/bin/env bash
# Runs the built test suite in three stages, so that on a small machine CPU-bound tests do not
# starve tests that wait for a socket or a process. Repeats the failures at the end of the
# output, which people and CI logs show.
#
#   Tools/test.sh SWIFT [OPTION OF swift test ...]    with options: one stage, with those options
set -uo pipefail
swift=$1
shift
cores='^(House|Model|Planning|Wire|InferenceCore|ServiceCore|FuzzReplay|Simulation|Access|Money|Account|Spending|BillingJournal)Tests\.'
processes='^ClusterTests\.'
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0
# Enough tests at once to keep two cores busy. Hundreds that start together would wait for each
# other until their own deadlines pass.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-4}

stage() {
  local name=$1
  shift
  echo "== $name"
  if ! "$swift" test --skip-build "$@" 2>&1 | tee "$logs/$name"; then
    failed=1
  fi
}

if [ $# -gt 0 ]; then
  stage "Selected tests" "$@"
else
  stage "1 of 3: cores" --filter "$cores"
  stage "2 of 3: sockets" --skip "$cores" --skip "$processes"
  stage "3 of 3: processes" --filter "$processes"
fi

echo
grep -hE 'Test run with .* (passed|failed)' "$logs"/*
if [ "$failed" -ne 0 ]; then
  echo
  echo "Failures:"
  # Failure lines of Swift Testing and crash lines, with the lines after them. Long lines are cut.
  grep -hE -A 3 '✘|[Ff]atal error|error: Exited|unexpected signal' "$logs"/* \
    | grep -vE '^(◇|✔|--$)' | cut -c 1-1000 | tail -n 60
fi
exit "$failed"
