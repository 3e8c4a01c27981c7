# Gives libvirtd a machine of its own: namespaces of mounts, processes and the network (unshare has made them), and
# Debian's packages as its root. What it needs of this machine is at its usual place there.
#
# outside.sh SCRATCH TREE RIG BUSYBOX SAMEPAGED
set -eu
scratch=$1 tree=$2 rig=$3 busybox=$4 samepaged=$5
root=$scratch/root

mount --make-rprivate /
mkdir "$root"
# What is written goes to memory. A root must be a mount, or samepaged could not make mounts of its own.
mount -t tmpfs -o mode=755 layer "$root"
mkdir "$root/upper" "$root/work" "$root/merged"
mount -t overlay -o "lowerdir=$tree,upperdir=$root/upper,workdir=$root/work" libvirt "$root/merged"
root=$root/merged

mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs tmp "$root/tmp"
for place in "$scratch" "$rig"; do
	mkdir -p "$root$place"
	mount --bind "$place" "$root$place"
done
mkdir -p "$root/usr/libexec"
cp "$samepaged" "$root/usr/libexec/samepaged"
cp "$busybox" "$root/usr/bin/busybox"
ln -sf busybox "$root/usr/bin/sh"
rm -rf "$root/var/run"
ln -s /run "$root/var/run"

# What the packages' scripts would have made.
printf 'root:x:0:0:root:/root:/bin/sh\nlibvirt-qemu:x:3:1::/:/bin/false\n' > "$root/etc/passwd"
printf 'root:x:0:\nkvm:x:1:\nlibvirt:x:2:\nlibvirt-qemu:x:3:\n' > "$root/etc/group"
cat > "$root/etc/libvirt/qemu.conf" <<'CONF'
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
CONF
cat > "$root/etc/libvirt/libvirtd.conf" <<'CONF'
auth_unix_rw = "none"
CONF
exec chroot "$root" /bin/sh "$scratch/inside.sh" "$scratch"
