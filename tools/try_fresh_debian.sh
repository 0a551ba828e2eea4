#!/usr/bin/env bash
# Runs ./quickstart on a Debian 12 that has nothing but its minimal base: proves that quickstart
# installs all that it needs.
#
#   tools/try_fresh_debian.sh FOLDER [COMMAND...]     (as root; needs debootstrap)
#
# FOLDER becomes the Debian (about 0.3 GB, then 1 GB); a second run with the same FOLDER keeps what
# is installed there and takes the repository's files anew. COMMAND (default: ./quickstart) runs
# inside, in the repository's folder. DEBIAN_MIRROR names another mirror.
set -euo pipefail

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

[[ $# -ge 1 ]] || usage
[[ $EUID -eq 0 ]] || { echo "try_fresh_debian: run as root (debootstrap and chroot need it)" >&2; exit 2; }
command -v debootstrap > /dev/null || { echo "try_fresh_debian: install debootstrap first" >&2; exit 2; }

repository=$(cd "$(dirname "$0")/.." && pwd)
debian=$(realpath -m "$1")
shift
[[ $# -gt 0 ]] || set -- ./quickstart

if [[ ! -e $debian/etc/debian_version ]]; then
  debootstrap --variant=minbase bookworm "$debian" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
fi
cp /etc/resolv.conf "$debian/etc/resolv.conf"

# The files as they stand in the work tree, new ones too, build folders not.
rm -rf "$debian/opt/braid.new"
mkdir -p "$debian/opt/braid" "$debian/opt/braid.new"
git -C "$repository" ls-files -z --cached --others --exclude-standard |
  (cd "$repository" && while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done) |
  tar -C "$repository" --null -T - -cf - | tar -C "$debian/opt/braid.new" -xf -
[[ ! -d $debian/opt/braid/build ]] || mv "$debian/opt/braid/build" "$debian/opt/braid.new/build"
rm -rf "$debian/opt/braid"
mv "$debian/opt/braid.new" "$debian/opt/braid"

mount -t proc proc "$debian/proc"
mount --bind /dev "$debian/dev"
trap 'umount "$debian/proc" "$debian/dev"' EXIT

proxies=()
for name in http_proxy https_proxy no_proxy; do
  [[ -z ${!name:-} ]] || proxies+=("$name=${!name}")
done
chroot "$debian" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
  "${proxies[@]}" /bin/bash -c 'cd /opt/braid && exec "$@"' run "$@" < /dev/null
