#!/usr/bin/env bash
# Runs the built test suite, in three stages, so that tests that compute do not starve tests that wait
# for a socket or a process on a small machine. What failed is said once more at the very end,
# because the end is what people and CI logs show.
#
#   Tools/test.sh SWIFT [OPTION OF swift test ...]    with options: one stage, with those options
set -uo pipefail
swift=$1
shift
cores='^(House|Model|Planning|Wire|InferenceCore|ServiceCore|FuzzReplay)Tests\.'
processes='^ClusterTests\.'
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
failed=0
# As many tests at once as keep two cores busy and no more: hundreds that start together wait for
# each other until their own deadlines pass.
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
  stage "The tests that were asked for" "$@"
else
  stage "1 of 3: cores" --filter "$cores"
  stage "2 of 3: sockets" --skip "$cores" --skip "$processes"
  stage "3 of 3: processes" --filter "$processes"
fi

echo
grep -hE 'Test run with .* (passed|failed)' "$logs"/*
if [ "$failed" -ne 0 ]; then
  echo
  echo "What failed:"
  # The crosses of Swift Testing and the lines of a crash, with what follows them; a failure that
  # prints a whole document is cut.
  grep -hE -A 3 '✘|[Ff]atal error|error: Exited|unexpected signal' "$logs"/* \
    | grep -vE '^(◇|✔|--$)' | cut -c 1-1000 | tail -n 60
fi
exit "$failed"
