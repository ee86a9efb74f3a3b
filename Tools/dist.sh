#!/usr/bin/env bash
# Makes the packages of a release: dist/tutti-VERSION-ARCH.tar.gz with the files of `make install`, and
# dist/tutti_VERSION_ARCH.deb where dpkg-deb is installed.
#
#   Tools/dist.sh SWIFT [FOLDER]                 FOLDER is dist by default
#
# Tools/install.sh decides which files there are. TUTTI_BUILT=FOLDER takes all-of-tutti from there and
# builds nothing. The packages of one commit have the same bytes if the build has.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
swift=$1
out=${2:-$root/dist}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"

fail() { echo "dist: $*" >&2; exit 69; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}
export SOURCE_DATE_EPOCH

# The files of `make install` below FOLDER/PREFIX.
stage() { Tools/install.sh install "$swift" "$1" "$2" > "$work/log" || { cat "$work/log" >&2; exit 1; }; }

# The only place with the version is `Version.current`; the executable prints it.
version_of() { "$1" --version | awk '{ print $2 }'; }

make_tarball() {
  stage /usr/local "$work/tree"
  local version name options=()
  version=$(version_of "$work/tree/usr/local/bin/tutti")
  name=tutti-$version-$(uname -m)
  mkdir "$work/archive"
  mv "$work/tree/usr/local" "$work/archive/$name"
  # Only GNU tar can make the same archive twice.
  if tar --version 2> /dev/null | grep -q GNU; then
    options=(--sort=name --owner=0 --group=0 --numeric-owner --mtime "@$SOURCE_DATE_EPOCH")
  fi
  tar -C "$work/archive" ${options[@]+"${options[@]}"} -cf - "$name" | gzip -9n > "$out/$name.tar.gz"
  echo "$out/$name.tar.gz"
}

# The packages with the executable's libraries, for the field Depends.
dependencies() {
  local file=$1
  if command -v dpkg-shlibdeps > /dev/null; then
    mkdir "$work/debian"
    printf 'Source: tutti\n\nPackage: tutti\nArchitecture: any\n' > "$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O "$file" 2> "$work/log") | sed -n 's/^shlibs:Depends=//p'
  else
    # Debian's package dpkg-dev is missing: the packages that have these libraries here.
    ldd "$file" | awk '$3 ~ "^/" { print $3 }' | while IFS= read -r library; do
      library=$(readlink -f "$library")
      # A package that is older than the merge of /lib and /usr/lib lists the shorter path.
      dpkg-query --search "$library" "${library#/usr}" 2> /dev/null | sed -n '1s/:.*//p'
    done | LC_ALL=C sort -u | paste -s -d , - | sed 's/,/, /g'
  fi
}

make_deb() {
  local tree=$work/deb version architecture depends size name
  stage /usr "$tree"
  version=$(version_of "$tree/usr/bin/tutti")
  architecture=$(dpkg --print-architecture)
  # dpkg has a list of its own.
  rm "$tree/usr/share/tutti/installed-files"
  install -d "$tree/etc/tutti" "$tree/DEBIAN"
  cp "$tree/usr/share/tutti/tutti.yaml" "$tree/etc/tutti/tutti.yaml"
  mv "$tree/usr/share/doc/tutti/LICENSE" "$tree/usr/share/doc/tutti/copyright"
  gzip -9n "$tree"/usr/share/man/man*/* "$tree/usr/share/doc/tutti/CHANGELOG.md"
  mv "$tree/usr/share/doc/tutti/CHANGELOG.md.gz" "$tree/usr/share/doc/tutti/changelog.gz"
  depends=$(dependencies "$tree/usr/bin/tutti")
  [ -n "$depends" ] || fail "the libraries of the executable belong to no package: $(cat "$work/log")"
  size=$(du -sk --exclude DEBIAN "$tree" | cut -f 1)
  sed "s|@VERSION@|$version|; s|@ARCHITECTURE@|$architecture|; s|@SIZE@|$size|; s|@DEPENDS@|$depends|" \
    deploy/debian/control > "$tree/DEBIAN/control"
  cp deploy/debian/conffiles "$tree/DEBIAN/"
  install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$tree/DEBIAN/"
  (cd "$tree" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' | sed 's|^\./||' \
    | LC_ALL=C sort | xargs md5sum) > "$tree/DEBIAN/md5sums"
  chmod 644 "$tree"/DEBIAN/{control,conffiles,md5sums}
  name=tutti_${version}_$architecture.deb
  dpkg-deb --root-owner-group --build "$tree" "$out/$name" > "$work/log" \
    || fail "dpkg-deb: $(cat "$work/log")"
  echo "$out/$name"
}

make_tarball
if command -v dpkg-deb > /dev/null; then make_deb; else echo "dist: no .deb, because dpkg-deb is missing" >&2; fi
