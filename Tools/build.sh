#!/usr/bin/env bash
# Runs one swift build. Announces a first build, which compiles the dependencies and takes minutes
# on a small machine.
set -euo pipefail
swift=$1
shift
command -v "$swift" > /dev/null || {
  echo "tutti: no Swift compiler found; install Swift 6.2 or later from https://swift.org/install" >&2
  exit 69
}
[ -d .build/checkouts ] || echo "First build: compiling the dependencies takes about 6 minutes on 2 cores." >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "$swift" "$@" > "$log" 2>&1; then
  grep -E "error:|note:" -A 3 "$log" | head -n 60 >&2 || true
  tail -n 5 "$log" >&2
  exit 1
fi
tail -n 1 "$log"
