#!/usr/bin/env bash
# Starts a registry, and tests its admin API against its own OpenAPI document with schemathesis: no
# 5xx, no undocumented status, and no answer that differs from its schema.
#
#   Tools/api_check.sh BIN_DIR API_ENV [OPTION OF schemathesis run ...]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$1 api_env=$2
shift 2

requirements=$root/Tests/requirements-api.txt
if ! cmp -s "$requirements" "$api_env/requirements.stamp"; then
  echo "api-check: installing schemathesis into $api_env" >&2
  rm -rf "$api_env"
  python3 -m venv "$api_env"
  "$api_env/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$requirements"
  cp "$requirements" "$api_env/requirements.stamp"
fi

directory=$(mktemp -d)
registry=
finish() {
  [ -z "$registry" ] || { kill "$registry" 2> /dev/null || true; wait "$registry" || true; }
  rm -rf "$directory"
}
trap finish EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$bin/tutti-registry" --port "$port" --data-dir "$directory/data" 2> "$directory/log" &
registry=$!
for _ in $(seq 300); do
  curl -fsS "http://127.0.0.1:$port/health" > /dev/null 2>&1 && break
  kill -0 "$registry" 2> /dev/null || { cat "$directory/log" >&2; exit 1; }
  sleep 0.1
done
# In the environment and not in arguments, which other users can read.
TUTTI_ADMIN_TOKEN=$(cat "$directory/data/admin-token")
export TUTTI_ADMIN_TOKEN
# A host that never answers, so that routes of one host find one.
curl -fsS -H @- -H 'Content-Type: application/json' -d '{"url": "http://127.0.0.1:9", "id": "h1"}' \
  "http://127.0.0.1:$port/admin/v1/hosts" <<< "Authorization: Bearer $TUTTI_ADMIN_TOKEN" > /dev/null

cd "$directory"
status=0
"$api_env/bin/schemathesis" --config-file "$root/Tools/schemathesis.toml" run \
  "http://127.0.0.1:$port/admin/v1/openapi.json" "$@" || status=$?
# A registry that crashed or reports a bug is a finding, too.
kill -0 "$registry" 2> /dev/null || { echo "api-check: the registry has ended" >&2; status=1; }
if grep -E '"(error|critical)"|internal_error| error | critical ' "$directory/log" >&2; then status=1; fi
exit "$status"
