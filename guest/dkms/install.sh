#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install the samepage driver in this guest: the sources for DKMS, the module, mount.samepage.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
guest=$(dirname "$here")

case ${1:-} in
--help | -h)
	cat <<'USAGE'
Usage: install.sh [--remove]

Install the samepage driver with DKMS, so that it is built anew for each kernel,
and mount.samepage in /sbin. Run it as root in the guest.

On Debian:  apt install dkms linux-headers-amd64 linux-source patch
USAGE
	exit 0
	;;
esac

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$guest/../Cargo.toml" 2>/dev/null | head -n 1)
version=${version:-0}
sources=/usr/src/samepage-$version

if [ "${1:-}" = --remove ]; then
	dkms remove "samepage/$version" --all || true
	rm -rf "$sources" /sbin/mount.samepage
	exit 0
fi

command -v dkms >/dev/null || { echo "install.sh: dkms is not installed" >&2; exit 1; }

rm -rf "$sources"
mkdir -p "$sources"
cp -r "$guest/build.sh" "$guest/linux" "$sources/"
cp "$guest/../shm-layout/include/samepage_table.h" "$sources/"
sed "s/@VERSION@/$version/" "$here/dkms.conf" >"$sources/dkms.conf"
install -m 755 "$guest/mount.samepage" /sbin/mount.samepage

dkms install "samepage/$version"
echo "Installed. Mount a share with:  mount -t samepage TAG DIRECTORY"
