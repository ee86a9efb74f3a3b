#!/usr/bin/env bash
# Generates the protobuf-c code of Proto/tutti/v1 into the given folder: sources in tutti/v1,
# headers in include/tutti/v1. A test compares the committed copy with the result.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=$1
command -v protoc-c > /dev/null || {
  echo "tutti: protoc-c is missing; run: make setup" >&2
  exit 69
}
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
(cd "$root/Proto" && protoc-c --proto_path=. --c_out="$generated" tutti/v1/*.proto)
mkdir -p "$out/tutti/v1" "$out/include/tutti/v1"
cp "$generated"/tutti/v1/*.pb-c.c "$out/tutti/v1/"
cp "$generated"/tutti/v1/*.pb-c.h "$out/include/tutti/v1/"
