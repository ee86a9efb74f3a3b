#!/usr/bin/env bash
# Makes a release build, then runs every benchmark. Results go to stdout. A wrong text (`cuts`) and
# a difference that a client library sees are errors.
#
#   Benchmarks/run.sh SWIFT MODEL_ENV
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
swift=$1 model_env=$2
echo "Release build (the first one compiles the dependencies again: several minutes)" >&2
build() { "$here/../Tools/build.sh" "$swift" build -c release --package-path "$here" "$@" >&2; }
build --product BusBenchmark
build --product DecisionBenchmark
build --product InferenceBenchmark
build --product PlanBenchmark
build --product LeaseBenchmark
for service in gateway registry planner dispatcher monitor faulty-host \
  agent-research agent-reasoning agent-creative agent-code agent-critic agent-coordinator; do
  build --product "tutti-$service"
done
build --product tutti-simulate
build --product tutti
bin=$("$swift" build -c release --package-path "$here" --show-bin-path)
"$bin/BusBenchmark"
"$bin/DecisionBenchmark"
# Runs all parts: equations, race, cancel, faults, soak, determinism, holdback, cuts.
"$bin/InferenceBenchmark"
"$bin/PlanBenchmark"
# 64 gateways on one account.
"$bin/LeaseBenchmark"
# Whole clusters on virtual time, with other seeds than the tests.
"$bin/tutti-simulate" 1000 --seeds 2000
python3 "$here/fast_path.py" "$bin"
"$here/clients/run.sh" "$swift" "$model_env"
