#!/usr/bin/env bash
# Installs a release build, or removes it.
#
#   Tools/install.sh install SWIFT PREFIX DESTDIR
#   Tools/install.sh uninstall PREFIX DESTDIR
#
# Everything goes below PREFIX. Root is asked for (sudo) only if the folder is not writable, and only
# to copy files. DESTDIR is put before PREFIX, to make a package. The list of the installed files is
# PREFIX/share/tutti/installed-files; `uninstall` removes exactly these. The executables are links to
# `tutti`, which has all programs. TUTTI_BUILT=FOLDER takes all-of-tutti from there and builds nothing.
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

build() {
  # A folder of its own: with the static library of Swift every module compiles differently.
  local swift=$1 options=(-c release --scratch-path .build-install)
  # The executable then runs on a machine without Swift.
  [ "$(uname)" = Darwin ] || options+=(--static-swift-stdlib)
  cd "$root"
  Tools/build.sh "$swift" build "${options[@]}" --product all-of-tutti
  built=$("$swift" build "${options[@]}" --show-bin-path)
}

# Copies the executable without the debug information, which is most of its size. The symbols stay: a
# crash report names functions.
stage_executables() {
  local name file=$built/all-of-tutti
  [ -f "$file" ] && [ -x "$file" ] || fail "the build left no all-of-tutti in $built"
  mkdir -p "$stage/bin"
  install -m 755 "$file" "$stage/bin/tutti"
  # Without `strip` the file is larger, and otherwise the same.
  [ "$(uname)" != Linux ] || strip --strip-debug "$stage/bin/tutti" 2> /dev/null || true
  while IFS= read -r name; do
    case "$name" in
      tutti) ;;
      tutti-*) ln -s tutti "$stage/bin/$name" ;;
      *) fail "$file --names prints $name" ;;
    esac
  done < <("$file" --names)
  [ -L "$stage/bin/tutti-gateway" ] || fail "$file --names does not print tutti-gateway"
}

stage_completions() {
  install -d "$stage/share/bash-completion/completions" "$stage/share/zsh/site-functions" \
    "$stage/share/fish/vendor_completions.d"
  local tutti=$stage/bin/tutti
  "$tutti" --generate-completion-script bash > "$stage/share/bash-completion/completions/tutti"
  "$tutti" --generate-completion-script zsh > "$stage/share/zsh/site-functions/_tutti"
  "$tutti" --generate-completion-script fish > "$stage/share/fish/vendor_completions.d/tutti.fish"
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

# The files and links of the staged installation, one a line.
staged_files() { (cd "$stage" && find . \( -type f -o -type l \) | sed 's|^\./||' | LC_ALL=C sort); }

# Copies the staged files. Each executable is renamed into its place: a running one cannot be written,
# a copy onto a link would change the link's target, and a rename leaves no moment without a file.
copy_staged() {
  as_owner mkdir -p "$target/bin"
  as_owner sh -c '
    set -e
    cd "$1"
    # `tutti` is first, so that no link leads to a file without its program.
    for file in tutti tutti-*; do
      rm -f "$2/.new-$file"
      cp -RP "$file" "$2/.new-$file"
      mv -f "$2/.new-$file" "$2/$file"
    done' sh "$stage/bin" "$target/bin"
  local part
  for part in "$stage"/*; do
    [ "$part" = "$stage/bin" ] || as_owner cp -RP "$part" "$target/"
  done
}

# Removes the files of the former installation that the present one does not have.
remove_former() {
  local file files=()
  while IFS= read -r file; do
    case "/$file/" in */../* | //*) continue ;; esac
    files+=("$target/$file")
  done < <(LC_ALL=C comm -23 <(LC_ALL=C sort "$1") <(LC_ALL=C sort "$stage/$list"))
  [ "${#files[@]}" = 0 ] || as_owner rm -f "${files[@]}"
}

install_all() {
  locate "$2" "$3"
  if [ -n "${TUTTI_BUILT:-}" ]; then built=$(cd "$TUTTI_BUILT" && pwd); else build "$1"; fi
  cd "$root"
  stage=$(mktemp -d)
  trap 'rm -rf "$stage" "${former:-}"' EXIT
  stage_executables
  stage_completions
  "$root/Tools/man.py" "$stage/bin" "$stage/share/man"
  [ "$(uname)" != Linux ] || stage_units
  install -d "$stage/share/doc/tutti" "$stage/share/tutti"
  cp LICENSE README.md CHANGELOG.md SECURITY.md docs/operations.md docs/api.md "$stage/share/doc/tutti/"
  cp -R docs/manual "$stage/share/doc/tutti/"
  cp deploy/systemd/tutti.yaml deploy/prometheus.yml deploy/alerts.yml "$stage/share/tutti/"
  local files
  files=$(staged_files)
  printf '%s\n' "$files" "$list" > "$stage/$list"
  find "$stage" -type d -exec chmod 755 {} +
  find "$stage" -type f ! -path "$stage/bin/*" -exec chmod 644 {} +
  former=
  if [ -f "$target/$list" ]; then
    former=$(mktemp)
    cat "$target/$list" > "$former"
  fi
  as_owner mkdir -p "$target"
  copy_staged
  [ -z "$former" ] || remove_former "$former"
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
