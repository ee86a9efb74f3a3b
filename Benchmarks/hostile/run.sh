#!/usr/bin/env bash
# Builds the release executables and runs hostile.py with them.
#
#   Benchmarks/hostile/run.sh SWIFT [OPTION OF hostile.py ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
package=$here/..
swift=$1
shift
echo "Release build (the first one compiles the dependencies again: several minutes)" >&2
for product in tutti tutti-gateway tutti-registry tutti-planner tutti-dispatcher tutti-monitor \
  tutti-faulty-host tutti-agent-research tutti-agent-reasoning tutti-agent-creative \
  tutti-agent-code tutti-agent-critic tutti-agent-coordinator; do
  "$package/../Tools/build.sh" "$swift" build -c release --package-path "$package" \
    --product "$product" >&2
done
bin=$("$swift" build -c release --package-path "$package" --show-bin-path)
exec python3 "$here/hostile.py" --bin "$bin" "$@"
