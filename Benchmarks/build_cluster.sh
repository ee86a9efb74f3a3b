#!/usr/bin/env bash
# Builds the release executables of a cluster and of its test host, and prints their folder.
#
#   Benchmarks/build_cluster.sh SWIFT
set -euo pipefail
package=$(cd "$(dirname "$0")" && pwd)
swift=$1
echo "Release build (the first one compiles the dependencies again: several minutes)" >&2
for product in tutti tutti-gateway tutti-registry tutti-planner tutti-dispatcher tutti-monitor \
  tutti-faulty-host tutti-agent-research tutti-agent-reasoning tutti-agent-creative \
  tutti-agent-code tutti-agent-critic tutti-agent-coordinator; do
  "$package/../Tools/build.sh" "$swift" build -c release --package-path "$package" \
    --product "$product" >&2
done
"$swift" build -c release --package-path "$package" --show-bin-path
