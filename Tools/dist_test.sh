#!/usr/bin/env bash
# Installs, runs, upgrades and removes the packages of `make dist`. Each step is printed; the first one
# that fails ends the test with a sentence and status 1.
#
#   Tools/dist_test.sh [OLDER=FOLDER|FILE.deb] [DIST=FOLDER] [FAULTY_HOST=FILE] [ROOT=temporary]
#
# OLDER is the version to upgrade from: a folder of executables, or a package; by default the tested
# package. DIST has the packages (dist). FAULTY_HOST is tutti-faulty-host; without it, it is built. Root
# installs the .deb on this machine, unless Tutti is installed or has data here, or ROOT=temporary is
# given: then, and for other accounts, dpkg installs below a temporary root.
set -euo pipefail
tree=$(cd "$(dirname "$0")/.." && pwd)
older='' dist=$tree/dist faulty='' root_mode=''
for argument in "$@"; do
  case "$argument" in
    OLDER=*) older=${argument#*=} ;;
    DIST=*) dist=${argument#*=} ;;
    FAULTY_HOST=*) faulty=${argument#*=} ;;
    ROOT=temporary) root_mode=temporary ;;
    *) echo "dist-test: $argument is not OLDER=, DIST=, FAULTY_HOST= or ROOT=temporary" >&2; exit 64 ;;
  esac
done

# An account of a service must reach the files, whatever the caller's umask is.
umask 022
work=$(mktemp -d /tmp/tutti-dist-XXXXXX)
chmod 755 "$work"
host='' url='' port='' number=0 installed='' made_account=''

step() { number=$((number + 1)); printf '\n%s. %s\n' "$number" "$*"; }
fail() { echo "dist-test: $*" >&2; exit 1; }

clean_up() {
  status=$?
  [ ! -x "${bin:-/none}/tutti" ] || as_user "$bin/tutti" stop --now > /dev/null 2>&1 || true
  [ -z "$host" ] || kill "$host" 2> /dev/null || true
  if [ "$installed" = machine ]; then dpkg --purge tutti > /dev/null 2>&1 || true; fi
  [ -z "$made_account" ] || userdel tutti 2> /dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT

# show COMMAND ...: runs it and prints it with its output.
show() {
  local text="$*"
  echo "\$ ${text#as_user }"
  "$@" > "$work/output" 2>&1 || { cat "$work/output"; fail "“$*” failed"; }
  sed 's/^/  /' "$work/output"
}

# Prints the only file that matches.
only() {
  [ $# = 1 ] && [ -f "$1" ] || fail "there is not exactly one file $1; run: make dist"
  echo "$1"
}

# Runs a program of the installation for its data directory, as the account that owns it.
as_user() {
  local variables=(PATH=/usr/bin:/bin "HOME=$work" "TUTTI_DATA_DIR=$data")
  if [ "$installed" = machine ]; then
    setpriv --reuid tutti --regid tutti --clear-groups env -i "${variables[@]}" "$@"
  else
    env -i "${variables[@]}" "$@"
  fi
}

tutti() { show as_user "$bin/tutti" "$@"; }

# prints TEXT: the last command has printed it.
prints() { grep -qF -- "$1" "$work/output" || fail "the command did not print “$1”"; }

start() { tutti up --detach --port "$port" --host "$url"; prints "is ready: faulty-model"; }

ask() { tutti ask -m tutti/fast "Hello"; prints "quick brown fox"; }

names() { local file; for file in "$1"/tutti*; do basename "$file"; done; }

if [ -z "$faulty" ]; then
  options=(-c release --scratch-path .build-install)
  [ "$(uname)" = Darwin ] || options+=(--static-swift-stdlib)
  (cd "$tree" && Tools/build.sh "${SWIFT:-swift}" build "${options[@]}" --product tutti-faulty-host)
  faulty=$(cd "$tree" && "${SWIFT:-swift}" build "${options[@]}" --show-bin-path)/tutti-faulty-host
fi
[ -x "$faulty" ] || fail "there is no executable $faulty"
mkfifo "$work/host"
"$faulty" > "$work/host" &
host=$!
read -r url < "$work/host"
port=$(python3 "$tree/Benchmarks/ports.py" 3)
[ -n "$port" ] || fail "no three free ports were found"
cd /

step "The archive has all programs, in less than 150 MB"
archive=$(only "$dist"/tutti-*.tar.gz)
mkdir "$work/archive"
tar -xzf "$archive" -C "$work/archive" --strip-components 1
bin=$work/archive/bin data=$work/data
size=$(du -sm "$work/archive" | cut -f 1)
echo "  $(basename "$archive"): $(du -k "$archive" | cut -f 1) KiB, unpacked $size MiB"
[ "$size" -lt 150 ] || fail "the unpacked archive has $size MiB"
programs=$(names "$bin")
[ "$(wc -l <<< "$programs")" -ge 12 ] || fail "the archive has only these programs: $programs"
for name in $programs; do
  version=$(as_user "$bin/$name" --version) || fail "$name --version failed"
  case "$version" in "$name "*) ;; *) fail "$name --version prints “$version”" ;; esac
done
for file in share/man/man8/tutti-gateway.8 share/bash-completion/completions/tutti share/tutti/alerts.yml \
  share/doc/tutti/LICENSE share/doc/tutti/manual/README.md; do
  [ -f "$work/archive/$file" ] || fail "the archive has no $file"
done

step "The archive runs where it was unpacked"
start
ask
tutti stop

command -v dpkg-deb > /dev/null || { echo "dist-test: passed; without dpkg-deb the .deb is not tested"; exit 0; }
package=$(only "$dist"/tutti_*.deb)

# Makes a package of a folder of executables, as an older version.
older_package() {
  local build=$work/older name
  install -d "$build/usr/bin" "$build/DEBIAN"
  for name in $(names "$bin"); do
    [ -x "$1/$name" ] || fail "$1 has no $name"
    install -m 755 "$1/$name" "$build/usr/bin/$name"
    strip --strip-debug "$build/usr/bin/$name" 2> /dev/null || true
  done
  dpkg-deb --field "$package" Package Version Architecture Maintainer Description \
    | sed 's/^Version: .*/&~older/' > "$build/DEBIAN/control"
  install -m 755 "$tree"/deploy/debian/{postinst,prerm,postrm} "$build/DEBIAN/"
  dpkg-deb --root-owner-group -Znone --build "$build" "$work/older.deb" > /dev/null
  rm -rf "$build"
  echo "$work/older.deb"
}

former=$package
if [ -d "$older" ]; then former=$(older_package "$older"); elif [ -n "$older" ]; then former=$(only "$older"); fi

reason=''
if [ "$(id -u)" != 0 ]; then reason="this account is not root"
elif [ -n "$root_mode" ]; then reason="ROOT=temporary"
elif dpkg-query --show tutti > /dev/null 2>&1; then reason="the package is installed here"
elif [ -e /var/lib/tutti ] || [ -e /etc/tutti ] || [ -e /usr/bin/tutti ]; then reason="this machine has files of Tutti"
fi
if [ -z "$reason" ]; then
  installed=machine slash='' deb=(dpkg)
  getent passwd tutti > /dev/null || made_account=yes
  echo "The package is installed on this machine."
else
  slash=$work/root
  mkdir -p "$slash"/var/lib/dpkg/{info,updates,triggers}
  touch "$slash"/var/lib/dpkg/{status,available}
  # The temporary root has no shell and no libraries; those of this machine are used.
  deb=(dpkg "--root=$slash" --force-script-chrootless --force-not-root --force-depends --force-bad-path)
  installed=below
  echo "The package is installed below a temporary root: $reason."
fi
bin=$slash/usr/bin data=$slash/var/lib/tutti

step "Install $(dpkg-deb --field "$former" Version)"
show "${deb[@]}" --install "$former"
[ "$(stat -c %a "$data")" = 700 ] || fail "$data has mode $(stat -c %a "$data"), not 700"
[ -L "$bin/tutti-gateway" ] || echo "  the older version has separate executables"

step "Run it, and make data: a key, an account, an entry of the ledger"
start
ask
tutti keys create admin --scope chat --scope plans --scope logs --save
tutti organisations create acme --prepaid
tutti ledger credit acme 100 --id invoice-17

step "Upgrade to $(dpkg-deb --field "$package" Version) while the cluster runs"
[ ! -f "$slash/etc/tutti/tutti.yaml" ] || echo "# changed by an administrator" >> "$slash/etc/tutti/tutti.yaml"
show "${deb[@]}" --force-confold --install "$package"
[ -L "$bin/tutti-gateway" ] || fail "$bin/tutti-gateway is not a link"
[ -f "$slash/etc/tutti/tutti.yaml" ] || fail "the configuration is missing"
if [ "$former" = "$package" ]; then
  grep -q "changed by an administrator" "$slash/etc/tutti/tutti.yaml" \
    || fail "the upgrade has replaced a changed configuration"
fi
tutti stop
start

step "The data is the same"
ask
if as_user env TUTTI_API_KEY=wrong "$bin/tutti" ask -m tutti/fast "Hello" > /dev/null 2>&1; then
  fail "a wrong key is accepted after the upgrade"
fi
tutti keys list
prints admin
tutti organisations list
prints acme
tutti ledger verify
tutti ledger export --format csv
prints invoice-17
tutti stop

step "Remove it: data and configuration stay"
show "${deb[@]}" --remove tutti
[ ! -e "$bin/tutti" ] && [ ! -L "$bin/tutti-gateway" ] || fail "executables are left in $bin"
[ -f "$data/accounts.sqlite" ] || fail "the removal has deleted the data"
[ -f "$slash/etc/tutti/tutti.yaml" ] || fail "the removal has deleted the configuration"

step "Purge it: nothing stays"
show "${deb[@]}" --purge tutti
for file in "$data" "$slash/etc/tutti" "$slash/usr/share/tutti" "$slash/usr/lib/systemd/system/tutti.service"; do
  [ ! -e "$file" ] || fail "$file is left"
done
installed=''
echo
echo "dist-test: passed"
