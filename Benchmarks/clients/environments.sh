#!/usr/bin/env bash
# Installs each client library with exact versions into its own virtual environment, unless it is
# installed already. Some 4.5 GB in all; the largest are guidellm (1.5 GB), lm-eval and aider.
#
#   Benchmarks/clients/environments.sh [CLIENT ...]      default: all clients with requirements
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${XDG_CACHE_HOME:-$HOME/.cache}/tutti/clients
if [ $# -eq 0 ]; then
  for file in "$here"/requirements/*.txt; do set -- "$@" "$(basename "$file" .txt)"; done
fi
missing=
for client in "$@"; do
  client=${client//_/-}
  requirements=$here/requirements/$client.txt directory=$root/$client
  [ -f "$requirements" ] || { echo "clients: $requirements does not exist" >&2; exit 64; }
  # The stamp holds the requirements that were installed, so a changed version installs again.
  if cmp -s "$requirements" "$directory/requirements.stamp"; then continue; fi
  echo "clients: installing $client into $directory" >&2
  rm -rf "$directory"
  mkdir -p "$root"
  if python3 -m venv "$directory" && "$directory/bin/pip" install --quiet \
    --disable-pip-version-check -r "$requirements"; then
    cp "$requirements" "$directory/requirements.stamp"
  else
    missing="$missing $client"
  fi
done
[ -z "$missing" ] || {
  echo "clients: pip could not install:$missing. Check the network." >&2
  exit 69
}
