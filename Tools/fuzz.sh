#!/usr/bin/env bash
# Fuzzes the parsers of external input with libFuzzer, bounded in time and memory.
#
#   Tools/fuzz.sh [ENTRY|all] [SECONDS PER ENTRY]    entries: the cases of FuzzEntry, and settings
#
# Prints a line per entry: executions, seconds, coverage (edges), findings. Seeds are read from
# Fuzz/Corpus. New inputs are kept in Fuzz/.build/corpus for the next run. A finding becomes a file
# in Fuzz/Findings/ENTRY: fix the bug and commit the file; `make test` replays it.
# Linux only. Exit code 1 if there is a finding.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
wanted=${1:-all} seconds=${2:-60}
swift=${SWIFT:-swift}
entries=(request streams json chunk assembler answer ollama anthropic wire bus hosts plan expand text
  key admin apply settings)
[ "$wanted" = all ] || entries=("$wanted")

resources=$("$swift" -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1/p')
runtime=$(echo "$resources"/clang/lib/linux/libclang_rt.fuzzer_no_main-"$(uname -m)".a)
[ -f "$runtime" ] || { echo "fuzz: this toolchain has no libFuzzer ($runtime)" >&2; exit 69; }

# Instruments all modules. The build is optimised, with all checks on.
build() {
  "$root/Tools/build.sh" "$swift" build --package-path "$root/Fuzz" --scratch-path "$root/Fuzz/.build" \
    -c release --sanitize address --product "$1" \
    -Xswiftc -sanitize-coverage=edge,trace-cmp,inline-8bit-counters,pc-table \
    -Xswiftc -assert-config -Xswiftc Debug \
    -Xlinker --whole-archive -Xlinker "$runtime" -Xlinker --no-whole-archive -Xlinker -lstdc++ >&2
}

built=
program() {
  local product=tutti-fuzz
  [ "$1" = settings ] && product=tutti-fuzz-settings
  case " $built " in *" $product "*) ;; *) build "$product"; built="$built $product" ;; esac
  executable="$root/Fuzz/.build/release/$product"
}

found=0
for entry in "${entries[@]}"; do
  program "$entry"
  corpus="$root/Fuzz/.build/corpus/$entry" findings="$root/Fuzz/Findings/$entry"
  mkdir -p "$corpus" "$findings"
  log=$(mktemp)
  before=$(find "$findings" -type f | wc -l)
  # Swift's backtracer would take the signal before libFuzzer saves the input. Leak detection is
  # off, because the Swift runtime never frees its metadata.
  TUTTI_FUZZ_ENTRY=$entry SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0 \
    "$executable" "$corpus" "$root/Fuzz/Corpus/$entry" "$findings" \
    -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=10 \
    -max_len=8192 -artifact_prefix="$findings/" -print_final_stats=1 > "$log" 2>&1 || true
  after=$(find "$findings" -type f | wc -l)
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d ' ' -f 2)
  printf '%-10s %10s executions  %5s s  %6s edges  %s findings\n' "$entry" "${executions:--}" \
    "$seconds" "${coverage:--}" "$((after - before))"
  if [ "$after" -gt "$before" ]; then
    found=1
    grep -E 'Fatal error|ERROR: |SUMMARY: |Test unit written' "$log" | head -n 5 | sed 's/^/    /'
  elif [ -z "$executions" ]; then
    found=1
    tail -n 5 "$log" | sed 's/^/    /'
  fi
  rm -f "$log"
  rmdir "$findings" 2> /dev/null || true
done
exit "$found"
