# One of everything that a shell can do to a file system. Run with the share as directory.
set -eu

fail() { echo "smoke: $*" >&2; exit 1; }
same() { [ "$1" = "$2" ] || fail "$3: expected '$2', got '$1'"; }

umask 022
mkdir tree
cd tree

# Data: written, appended, overwritten in the middle, cut, sparse.
head -c 300000 /dev/urandom > data
cp data copy
cmp data copy || fail "a copy differs"
same "$(stat -c %s data)" 300000 "size after writing"
printf tail >> data
same "$(stat -c %s data)" 300004 "size after appending"
same "$(tail -c 4 data)" tail "what was appended"
printf MIDDLE | dd of=data bs=1 seek=5000 conv=notrunc 2> /dev/null
same "$(dd if=data bs=1 skip=5000 count=6 2> /dev/null)" MIDDLE "what was overwritten"
truncate -s 10 data
same "$(stat -c %s data)" 10 "size after truncating"
truncate -s 1048576 sparse
same "$(md5sum < sparse)" "$(head -c 1048576 /dev/zero | md5sum)" "a hole reads as zeros"

# Names: renamed over each other, linked, removed while open.
echo one > one
echo two > two
mv one two
same "$(cat two)" one "after renaming over a file"
[ ! -e one ] || fail "the old name is still there"
ln two hard
same "$(stat -c %h two)" 2 "number of links"
ln -s ../tree/two soft
same "$(readlink soft)" ../tree/two "symlink's target"
same "$(cat soft)" one "through the symlink"
exec 3< two
rm two hard
same "$(cat <&3)" one "an open file that was removed"
exec 3<&-

# Attributes.
chmod 4751 copy
same "$(stat -c %a copy)" 4751 "mode"
chown 1:65534 copy
same "$(stat -c %u:%g copy)" 1:65534 "owner"
touch -d '2001-02-03 04:05:06' copy
same "$(date -r copy '+%Y-%m-%d %H:%M:%S')" '2001-02-03 04:05:06' "time"
mkfifo pipe
[ -p pipe ] || fail "no pipe"

# Directories: many entries, listed whole; not empty, not removed.
mkdir many
i=0
while [ $i -lt 500 ]; do : > "many/a-rather-long-name-to-fill-several-replies-$i"; i=$((i + 1)); done
same "$(ls many | wc -l)" 500 "entries listed"
same "$(ls many | sort -u | wc -l)" 500 "different entries listed"
rmdir many 2> /dev/null && fail "a directory that is not empty was removed"
rm -r many
[ ! -e many ] || fail "a removed directory is still there"
mkdir -p a/b/c
mv a/b b
same "$(ls a b | tr '\n' ' ')" "a:  b: c " "after moving a directory"

# Errors.
cat nothing 2> /dev/null && fail "read what is not there"
mkdir a 2> /dev/null && fail "made a directory twice"
long=$(printf '%0256d' 0)
touch "$long" 2> /dev/null && fail "a name of 256 bytes"

df . > /dev/null
sync
echo done > done
