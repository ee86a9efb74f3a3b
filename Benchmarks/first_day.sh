#!/usr/bin/env bash
# The course of a new user's first day: start, ask, chat, add hosts, plan, trace, see the cost, require
# keys, make it a service, remove it. Prints each command with its output; the first one with an
# unexpected exit status or output ends the course with a sentence and status 1.
#
#   Benchmarks/first_day.sh [--deb FILE | --bin FOLDER] FAULTY_HOST
#
# FAULTY_HOST is the executable tutti-faulty-host. Its processes take the places of a local server, a
# second server and a cloud that costs money. Root installs and purges the .deb, unless this machine has
# Tutti already; otherwise the .deb is only unpacked. Without --deb and --bin, `tutti` is on the PATH.
set -uo pipefail
tree=$(cd "$(dirname "$0")/.." && pwd)
deb='' bin=''
fail() { echo "first-day: $*" >&2; exit 1; }
usage() { echo "usage: Benchmarks/first_day.sh [--deb FILE | --bin FOLDER] FAULTY_HOST" >&2; exit 64; }
while [ $# -gt 1 ]; do
  case "$1" in
    --deb) deb=$(realpath "$2") ;;
    --bin) bin=$(realpath "$2") ;;
    *) usage ;;
  esac
  shift 2 || usage
done
[ $# = 1 ] || usage
faulty=$(realpath "$1")
[ -x "$faulty" ] || fail "$faulty is not executable"

home=$(mktemp -d /tmp/tutti-day-XXXXXX)
hosts=() installed='' commands=0 began=$SECONDS output=$home/output
clean_up() {
  status=$?
  command tutti stop --now > /dev/null 2>&1
  [ "${#hosts[@]}" = 0 ] || kill "${hosts[@]}" 2> /dev/null
  [ -z "$installed" ] || dpkg --purge tutti > /dev/null 2>&1
  rm -rf "$home"
  exit "$status"
}
trap clean_up EXIT
cd "$home" || exit 1
mkdir work && cd work || exit 1
for name in ${!TUTTI_*} ${!XDG_*}; do unset "$name"; done
export HOME=$home
# The credential of the cloud. A host's credential is a variable of the process that asks it.
export TUTTI_CREDENTIAL_CLOUD=secret-of-the-cloud

title() { printf '\n== %s\n' "$*"; }

# run STATUS COMMAND [TEXT ...]: the command must have the status and print each text.
run() {
  local wanted=$1 command=$2 status text
  shift 2
  commands=$((commands + 1))
  printf '\n$ %s\n' "$command"
  eval "$command" > "$output" 2>&1 < /dev/null
  status=$?
  cat "$output"
  [ "$status" = "$wanted" ] || fail "“$command” ended with status $status, not $wanted"
  for text in "$@"; do
    grep -qF -- "$text" "$output" || fail "“$command” did not print “$text”"
  done
}

# host NAME OPTION ...: starts a faulty host, and sets the variable NAME to its URL.
host() {
  local name=$1 line
  shift
  mkfifo "$home/$name"
  "$faulty" "$@" > "$home/$name" &
  hosts+=($!)
  read -r line < "$home/$name"
  case "$line" in http://*) printf -v "$name" %s "$line" ;; *) fail "a faulty host did not start" ;; esac
}

host SERVER --dialect ollama --model llama3.2
host SECOND --model qwen3-8b
host CLOUD --dialect openai --model gpt-4o-mini
PORT=$(python3 "$tree/Benchmarks/ports.py" 3)

title "Install"
units=$tree/deploy/systemd
if [ -n "$deb" ]; then
  if [ "$(id -u)" = 0 ] && ! dpkg-query --show tutti > /dev/null 2>&1 \
    && [ ! -e /var/lib/tutti ] && [ ! -e /etc/tutti ] && [ ! -e /usr/bin/tutti ]; then
    installed=yes bin=/usr/bin units=/usr/lib/systemd/system
    run 0 "dpkg --install $deb"
  else
    run 0 "dpkg-deb --extract $deb $home/root"
    bin=$home/root/usr/bin units=$home/root/usr/lib/systemd/system
  fi
fi
[ -z "$bin" ] || export PATH=$bin:$PATH
command -v tutti > /dev/null || fail "there is no tutti on the PATH; give --deb or --bin"
bin=$(dirname "$(command -v tutti)")
run 0 "tutti --version" "tutti "
run 0 "tutti --help" "tutti up"

title "Start it, and ask"
run 0 "tutti up --detach --port $PORT --host $SERVER" "is ready: llama3.2" "access"
run 0 "tutti status" "llama3.2"
run 0 "tutti ask 'Why is the sky blue?'" "quick brown fox"
run 0 "echo 'Tutti is one endpoint.' | tutti ask --system 'Be brief.' 'What is this about?'" "quick brown fox"
run 0 "printf 'My name is Ada.\nWhat is my name?\n' | tutti chat -m tutti/fast" "quick brown fox"
run 0 "curl -fsS http://127.0.0.1:$PORT/v1/chat/completions -H 'Content-Type: application/json' \
-d '{\"model\": \"tutti/fast\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'" '"choices"'

title "Add three hosts: a second server, one that is dead, and a cloud with a price"
run 0 "tutti hosts add $SECOND --id second" "host second is ready: qwen3-8b"
run 75 "tutti hosts add http://127.0.0.1:9 --id dead" "host dead is added, but not ready"
run 0 "tutti hosts add $CLOUD --id cloud --credential env:TUTTI_CREDENTIAL_CLOUD --price 1/4" \
  "host cloud is ready: gpt-4o-mini"
run 0 "tutti hosts list" second dead cloud
run 0 "tutti hosts show dead" unreachable
run 0 "tutti ask -m qwen3-8b 'Hello'" "quick brown fox"
run 0 "tutti ask -m gpt-4o-mini 'Hello'" "quick brown fox"
run 64 "tutti host list" "hosts"

title "Plan and trace"
run 0 "tutti plan -m tutti/ensemble 'Why is the sky blue?'" draft-1
run 0 "tutti ask -m tutti/ensemble --members 2 --trace 'Why is the sky blue?'" "planned tutti/ensemble" "trace"
TRACE=$(grep -o '[0-9a-f]\{32\}' "$output" | tail -n 1)
run 0 "tutti trace --wait 10 $TRACE" "the answer waited for it"

title "The cost"
run 0 "tutti requests --since 1h" status
run 0 "tutti prices set gpt-4o-mini --input 2 --output 8"
run 0 "tutti prices list" gpt-4o-mini
# A price begins three seconds later, so that all gateways know it then.
run 0 "sleep 4"
run 0 "tutti ask -m gpt-4o-mini --trace 'Hello'" credits

title "Secure it"
run 0 "tutti keys create admin --scope chat --scope plans --scope logs --save" "this is the first key"
run 64 "TUTTI_API_KEY=wrong tutti ask 'Hello'"
run 0 "tutti ask 'Hello'" "quick brown fox"
run 0 "tutti keys create laptop --model qwen3-8b --requests-per-minute 600 --expires 90d"
KEY=$(grep -m 1 '^tutti-' "$output")
run 0 "TUTTI_API_KEY=$KEY tutti ask -m qwen3-8b 'Hello'" "quick brown fox"
run 1 "TUTTI_API_KEY=$KEY tutti ask -m gpt-4o-mini 'Hello'"
run 0 "tutti organisations create home"
run 0 "tutti budgets set home 5 --period day" home
run 0 "tutti keys create notebook --account home"
KEY=$(grep -m 1 '^tutti-' "$output")
run 0 "TUTTI_API_KEY=$KEY tutti ask -m gpt-4o-mini 'Hello'" "quick brown fox"
run 0 "tutti budgets list" home
run 0 "TUTTI_API_KEY=$KEY tutti usage" "organisation home"
run 0 "tutti audit --kind key" created
run 0 "tutti logs --level warning --since 1h"

title "Restart it"
run 0 "tutti stop" "has stopped"
run 0 "tutti up --detach --port $PORT --host $SERVER" "keys required"
run 0 "tutti keys list" laptop
run 0 "tutti ledger verify" correct
run 0 "tutti budgets list" 0.000086
run 0 "tutti ask 'Hello'" "quick brown fox"
run 0 "tutti stop" "has stopped"

title "Make it a service"
run 0 "tutti up --check-config --config $tree/deploy/systemd/tutti.yaml" up.hosts
if command -v systemd-analyze > /dev/null; then
  # The units are checked with the executables of this course in place of the installed ones.
  mkdir "$home/units"
  for unit in "$units"/tutti*.service "$units"/tutti*.target; do
    name=$(basename "$unit")
    sed -E "s|^(ExecStart=)/usr(/local)?/bin/|\1$bin/|" "$unit" > "$home/units/${name/@./@code.}"
  done
  run 0 "systemd-analyze verify --man=no $home/units/tutti* || true"
  ! grep -q tutti "$output" || fail "systemd does not accept the units"
else
  echo "systemd-analyze is missing, so the units are not checked."
fi

title "Remove it"
run 0 "rm -r $home/.local/share/tutti"
run 69 "tutti stop" "no cluster runs"
if [ -n "$installed" ]; then
  run 0 "dpkg --purge tutti"
  installed=''
  [ ! -e /usr/bin/tutti ] && [ ! -e /var/lib/tutti ] && [ ! -e /etc/tutti ] || fail "the purge has left files"
fi
printf '\nfirst-day: %s commands in %s s, all as expected\n' "$commands" "$((SECONDS - began))"
