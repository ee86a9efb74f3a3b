#!/usr/bin/env bash
# Installs a release build, or removes it.
#
#   Tools/install.sh install SWIFT PREFIX DESTDIR
#   Tools/install.sh uninstall PREFIX DESTDIR
#
# Everything goes below PREFIX. Root is asked for (sudo) only if the folder is not writable, and only
# to copy files. DESTDIR is put before PREFIX, to make a package. The list of the installed files is
# PREFIX/share/tutti/installed-files; `uninstall` removes exactly these.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
command=$1
shift

fail() { echo "install: $*" >&2; exit 69; }

as_owner() {
  local existing=$target
  while [ ! -e "$existing" ]; do existing=$(dirname "$existing"); done
  if [ -w "$existing" ]; then "$@"
  elif command -v sudo > /dev/null; then sudo "$@"
  else fail "$existing is not writable, and sudo is missing; run as root, or choose PREFIX"
  fi
}

locate() {
  case "$1" in /*) ;; *) echo "install: PREFIX must be an absolute path, not $1" >&2; exit 64 ;; esac
  prefix=${1%/}
  target=${2%/}$prefix
  list=share/tutti/installed-files
}

# Copies the built executables, without the debug information that is most of their size. The
# symbols stay: a crash report names functions.
stage_executables() {
  mkdir -p "$stage/bin"
  for file in "$1"/tutti "$1"/tutti-*; do
    case "$(basename "$file")" in *faulty-host | *simulate | *.*) continue ;; esac
    [ -f "$file" ] && [ -x "$file" ] || continue
    install -m 755 "$file" "$stage/bin/"
    # Without `strip` the files are larger, and otherwise the same.
    [ "$(uname)" != Linux ] || strip --strip-debug "$stage/bin/$(basename "$file")" 2> /dev/null || true
  done
  [ -x "$stage/bin/tutti" ] && [ -x "$stage/bin/tutti-gateway" ] \
    || fail "the build left no executables in $1"
}

stage_completions() {
  install -d "$stage/share/bash-completion/completions" "$stage/share/zsh/site-functions" \
    "$stage/share/fish/vendor_completions.d"
  "$1/tutti" --generate-completion-script bash > "$stage/share/bash-completion/completions/tutti"
  "$1/tutti" --generate-completion-script zsh > "$stage/share/zsh/site-functions/_tutti"
  "$1/tutti" --generate-completion-script fish > "$stage/share/fish/vendor_completions.d/tutti.fish"
}

stage_units() {
  local units=$stage/lib/systemd/system
  install -d "$units/tutti.service.d" "$units/tutti-.service.d" "$stage/lib/sysusers.d"
  for file in "$root"/deploy/systemd/*.service "$root"/deploy/systemd/*.target; do
    sed "s|/usr/local/bin/|$prefix/bin/|" "$file" > "$units/$(basename "$file")"
  done
  cp "$root/deploy/systemd/hardening.conf" "$units/tutti.service.d/10-hardening.conf"
  cp "$root/deploy/systemd/hardening.conf" "$units/tutti-.service.d/10-hardening.conf"
  cp "$root/deploy/systemd/sysusers.conf" "$stage/lib/sysusers.d/tutti.conf"
}

install_all() {
  # A folder of its own: with the static library of Swift every module compiles differently.
  local swift=$1 options=(-c release --scratch-path .build-install)
  locate "$2" "$3"
  # The executables then run on a machine without Swift.
  [ "$(uname)" = Darwin ] || options+=(--static-swift-stdlib)
  cd "$root"
  Tools/build.sh "$swift" build "${options[@]}"
  local built
  built=$("$swift" build "${options[@]}" --show-bin-path)
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  stage_executables "$built"
  stage_completions "$built"
  "$root/Tools/man.py" "$built" "$stage/share/man"
  [ "$(uname)" != Linux ] || stage_units
  install -d "$stage/share/doc/tutti" "$stage/share/tutti"
  cp LICENSE README.md CHANGELOG.md SECURITY.md docs/operations.md docs/api.md "$stage/share/doc/tutti/"
  cp -R docs/manual "$stage/share/doc/tutti/"
  cp deploy/systemd/tutti.yaml "$stage/share/tutti/tutti.yaml"
  local files
  files=$(cd "$stage" && find . -type f | sed 's|^\./||' | LC_ALL=C sort)
  printf '%s\n' "$files" "$list" > "$stage/$list"
  find "$stage" -type d -exec chmod 755 {} +
  find "$stage" -type f ! -path "$stage/bin/*" -exec chmod 644 {} +
  as_owner mkdir -p "$target"
  as_owner cp -R "$stage/." "$target/"
  echo "installed $(wc -l < "$stage/$list" | tr -d ' ') files below $target: $("$target/bin/tutti" --version)"
  case ":$PATH:" in *":$prefix/bin:"*) ;; *) [ -n "$3" ] || echo "add $prefix/bin to PATH" ;; esac
}

uninstall_all() {
  locate "$1" "$2"
  [ -f "$target/$list" ] || fail "nothing to remove: $target/$list does not exist"
  local file files=() folders=()
  while IFS= read -r file; do
    case "/$file/" in */../* | //*) fail "$target/$list names $file, which is not below PREFIX" ;; esac
    files+=("$target/$file")
  done < "$target/$list"
  as_owner rm -f "${files[@]}"
  # Folders that only Tutti uses. `rmdir` fails if one holds other files, and the folder stays.
  for file in share/tutti share/doc/tutti/manual share/doc/tutti lib/systemd/system/tutti{,-}.service.d; do
    [ ! -d "$target/$file" ] || folders+=("$target/$file")
  done
  [ "${#folders[@]}" = 0 ] || as_owner rmdir "${folders[@]}" 2> /dev/null || true
  echo "removed ${#files[@]} files below $target; data directories stay"
}

case "$command" in
  install) install_all "$@" ;;
  uninstall) uninstall_all "$@" ;;
  *) echo "usage: Tools/install.sh install SWIFT PREFIX DESTDIR | uninstall PREFIX DESTDIR" >&2; exit 64 ;;
esac
