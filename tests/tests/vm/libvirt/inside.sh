# Has libvirt start the domain, waits until it has gone, and sees whether the daemon has gone with it.
#
# inside.sh SCRATCH; status 0: as it should be. What is wrong is said on stderr.
scratch=$1
PATH=/usr/sbin:/usr/bin LC_ALL=C
export PATH LC_ALL
sleep() { busybox sleep "$@"; }
virsh() { /usr/bin/virsh --quiet --connect qemu:///system "$@"; }
# Its processes. Those that have ended stay as zombies here, for nobody waits for them.
daemons() {
	found=
	for process in $(busybox pidof samepaged); do
		busybox readlink "/proc/$process/exe" > /dev/null && found="$found $process"
	done
	[ -n "$found" ] && echo "$found"
}
fail() {
	echo "$*" >&2
	busybox cat /var/log/libvirt/qemu/* >&2
	exit 1
}
# Until something is so, for a minute.
wait_until() {
	tries=300
	until "$@" > /dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.2
	done
}
gone() { ! "$@"; }

ip link set lo up
libvirtd &
wait_until virsh version || fail "libvirtd does not answer"
virsh create "$scratch/domain.xml" || fail "the domain does not start"
daemons > /dev/null || fail "libvirt has started the domain without samepaged"
busybox tr '\0' ' ' < "/proc/$(daemons | busybox awk '{print $NF}')/cmdline" > "$scratch/daemon"
# The test is at work in the guest, and in the end has it switched off.
while virsh domstate guest > /dev/null 2>&1; do sleep 0.5; done
wait_until gone daemons || fail "the domain has gone, and samepaged has not"
busybox cat /var/log/libvirt/qemu/*virtiofsd.log > "$scratch/daemon.log"
