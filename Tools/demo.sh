#!/usr/bin/env bash
# Demo of the main job: starts a cluster with two local model servers, asks one question through the
# fast path and one through every pattern, shows hosts and tasks, stops. Exits with 0 only if all
# answers came from the model.
#
#   Tools/demo.sh [FOLDER OF THE EXECUTABLES]        default: the debug build
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${1:-$(swift build --package-path "$root" --show-bin-path)}
data=$(mktemp -d)
port=$(python3 - <<'PORT'
import socket
def free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try: s.bind(("127.0.0.1", port)); return True
        except OSError: return False
print(next(p for p in range(8080, 9080, 3) if all(free(p + i) for i in range(3))))
PORT
)
up=
stop() {
  if [ -n "$up" ] && kill -0 "$up" 2> /dev/null; then
    kill -TERM "$up"
    wait "$up" || true
  fi
  rm -rf "$data"
}
trap stop EXIT

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

say "\$ tutti up --port $port"
"$bin/tutti" up --port "$port" --data-dir "$data" &
up=$!
for _ in $(seq 1 600); do
  [ -f "$data/cluster.json" ] && break
  kill -0 "$up" 2> /dev/null || { wait "$up"; exit 1; }
  sleep 0.5
done
[ -f "$data/cluster.json" ] || { echo "demo: the cluster was not ready after 300 s" >&2; exit 1; }

say "The processes"
# Only options that every ps has: macOS has no --ppid.
ps -axo pid=,ppid=,args= | awk -v up="$up" \
  '$2 == up { pid = $1; $1 = $2 = ""; sub(/^ +/, ""); print "  " pid " " $0 }' \
  | sed "s|$bin/||; s|$data|DATA|g" | cut -c 1-100

export TUTTI_URL="http://127.0.0.1:$port"
# ask MODEL QUESTION [OPTION ...]
ask() {
  local model=$1 question=$2
  shift 2
  say "\$ tutti ask -m $model ${*:+$* }--trace \"$question\""
  "$bin/tutti" ask -m "$model" "$@" --trace --data-dir "$data" "$question" < /dev/null
}
# Questions that a model of 135 million parameters can answer, and few enough tokens that it stops in
# time. With temperature 0 it gives the same answers again.
ask tutti/fast "Why is the sky blue? Answer in two sentences." --temperature 0
# Runs before the other patterns, which load both hosts and make them look slower: a question is
# split only if the split is expected to be faster.
ask tutti/decompose \
  "Answer each in a sentence: 1. What is the capital of Spain? 2. What is the capital of Egypt? 3. What is the capital of Canada? 4. What is the capital of Peru?" \
  --temperature 0 --max-tokens 160
ask tutti/ensemble "What is the capital of Italy? Answer with one word." --temperature 0
ask tutti/debate "What is the capital of Japan? Answer with one word." \
  --members 2 --rounds 1 --temperature 0 --max-tokens 9
ask tutti/maestro "What is the capital of Spain? Answer in one sentence." --temperature 0 --max-tokens 16
ask tutti/auto "What is the capital of Greece?" --temperature 0 --max-tokens 20

# The monitor's log must agree: all requests succeeded, with tokens.
python3 - "$((port + 2))" <<'CHECK'
import json, sys, time, urllib.request
asked = ["fast", "ensemble", "debate", "maestro", "decompose", "auto"]
for _ in range(40):
    with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/requests?limit=20", timeout=5) as reply:
        body = json.load(reply)
    done = {r["model"]: r for r in body["data"] if r["status"] == 200 and r["usage"]["completion_tokens"] > 0}
    if {f"tutti/{name}" for name in asked} <= set(done): break
    time.sleep(0.5)
else:
    sys.exit(f"demo: the request log does not list all answers: {json.dumps(body)[:2000]}")
CHECK

say "Stopping"
kill -TERM "$up"
wait "$up" && code=0 || code=$?
up=
[ "$code" = 0 ] || { echo "demo: tutti up exited with code $code" >&2; exit 1; }
echo "Done: all answers came from the local model."
echo "It has 135 million parameters. Use better ones: tutti up --host http://127.0.0.1:11434 (Ollama, vLLM, any OpenAI URL)"
