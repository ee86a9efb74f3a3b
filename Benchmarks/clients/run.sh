#!/usr/bin/env bash
# Builds the release executables, installs the client libraries, and runs compare.py twice: with the
# scripted hosts, and with llama.cpp and the model of `make setup`. If no option is given, it also
# runs slow_host.py. Fails if any result is different.
#
#   Benchmarks/clients/run.sh SWIFT MODEL_ENV [OPTION OF compare.py ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
swift=$1 model_env=$2
shift 2
"$here/environments.sh" ${CLIENTS:+${CLIENTS//,/ }}
bin=$("$here/../build_cluster.sh" "$swift")
status=0
python3 "$here/compare.py" --bin "$bin" "$@" || status=1
python3 "$here/compare.py" --bin "$bin" --real "$model_env" "$@" || status=1
if [ $# -eq 0 ]; then
  python3 "$here/slow_host.py" --bin "$bin" --real "$model_env" || status=1
fi
exit "$status"
