#!/usr/bin/env bash
# Builds the release executables, then runs kills.py and gateways.py with them.
#
#   Benchmarks/money/run.sh SWIFT KILLS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$("$here/../build_cluster.sh" "$1")
python3 "$here/kills.py" --bin "$bin" --kills "$2"
exec python3 "$here/gateways.py" --bin "$bin"
