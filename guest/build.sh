#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Build samepage.ko: take fs/fuse from the distribution's own kernel source, apply the patches of
# its series, build it against the kernel's headers. Used by DKMS and by `cargo xtask guest build`.

set -eu

here=$(cd "$(dirname "$0")" && pwd)

usage() {
	cat <<'USAGE'
Usage: build.sh [--source PATH] [--headers DIR] [--output DIR] [--keep DIR]
                [--faults] [RELEASE]

Build samepage.ko for the kernel RELEASE (default: the running one).

  --source PATH  the kernel's source: a linux-source-*.tar.xz, or a directory that
                 holds fs/fuse (default: what the package linux-source-X.Y installs)
  --headers DIR  headers to build against (default: /lib/modules/RELEASE/build)
  --output DIR   where samepage.ko goes (default: .)
  --keep DIR     build in DIR and leave it there
  --faults       with a parameter "fault" that leaves out checks, for tests only

On Debian:  apt install linux-source-X.Y linux-headers-RELEASE dwarves patch make
USAGE
}

fail() {
	echo "build.sh: $*" >&2
	exit 1
}

source= headers= output=. keep= faults= release=
while [ $# -gt 0 ]; do
	case $1 in
	--source | --headers | --output | --keep)
		[ $# -ge 2 ] || { usage >&2; exit 2; }
		case $1 in
		--source) source=$2 ;;
		--headers) headers=$2 ;;
		--output) output=$2 ;;
		--keep) keep=$2 ;;
		esac
		shift 2
		;;
	--faults) faults=yes; shift ;;
	--help | -h) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) release=$1; shift ;;
	esac
done

release=${release:-$(uname -r)}
series=$(echo "$release" | sed -n 's/^\([0-9]*\.[0-9]*\).*/\1/p')
headers=${headers:-/lib/modules/$release/build}
patches=$here/linux/$series

[ -d "$patches" ] || fail "no patches for Linux $series; there are: $(cd "$here/linux" && echo [0-9]*)"
[ -z "$faults" ] || [ -d "$patches/faults" ] || fail "no faults for Linux $series"
[ -e "$headers/Makefile" ] || fail "no kernel headers in $headers: install linux-headers-$release"
headers=$(cd "$headers" && pwd)

if [ -z "$source" ]; then
	for source in "/usr/src/linux-source-$series" "/usr/src/linux-source-$series.tar.xz" ""; do
		[ ! -e "$source" ] || break
	done
	[ -n "$source" ] || fail "no kernel source in /usr/src: install linux-source-$series"
fi

# The C header of the table comes with the sources, or from its crate in a checkout.
for table in "$here/samepage_table.h" "$here/../shm-layout/include/samepage_table.h"; do
	[ ! -e "$table" ] || break
done
[ -e "$table" ] || fail "samepage_table.h is missing"

if [ -n "$keep" ]; then
	work=$keep
	rm -rf "$work/fs"
	mkdir -p "$work"
	work=$(cd "$work" && pwd)
else
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
fi

if [ -d "$source" ]; then
	mkdir -p "$work/fs"
	cp -r "$source/fs/fuse" "$work/fs/"
else
	tar -xf "$source" -C "$work" --strip-components=1 --wildcards '*/fs/fuse'
fi
[ -e "$work/fs/fuse/inode.c" ] || fail "$source holds no fs/fuse"

for patch in "$patches"/*.patch ${faults:+"$patches"/faults/*.patch}; do
	patch -s -d "$work" -p1 --no-backup-if-mismatch <"$patch" ||
		fail "$(basename "$patch") does not apply to $source"
done
cp "$table" "$work/fs/fuse/"

make -s -C "$headers" M="$work/fs/fuse" -j"$(nproc)" modules
mkdir -p "$output"
cp "$work/fs/fuse/samepage.ko" "$output/"
echo "$output/samepage.ko for Linux $release"
