#!/usr/bin/env bash
# Builds the release executables and runs hostile.py with them.
#
#   Benchmarks/hostile/run.sh SWIFT [OPTION OF hostile.py ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
swift=$1
shift
bin=$("$here/../build_cluster.sh" "$swift")
exec python3 "$here/hostile.py" --bin "$bin" "$@"
