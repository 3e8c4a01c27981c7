//! The rules, each with a change that is missed without it.

use super::Rule;

/// Every kernel that there is a driver for.
pub(super) const ALL: &[&str] = &["6.1", "6.12", "7.2"];

/// Scripts run in an empty directory of the share, `$NOBODY script` as a user.
pub(super) const RULES: &[Rule] = &[
    Rule {
        kernels: ALL,
        // The old file keeps a name, or the host would say that it is stale.
        fault: "entry",
        stage: "echo old > f; ln f h; echo new > g",
        warm: "cat f",
        change: "mv g f",
        look: "cat f",
        right: "new",
        wrong: "old",
    },
    Rule {
        kernels: ALL,
        fault: "negative",
        stage: ":",
        warm: "[ ! -e f ]",
        change: "echo here > f",
        look: "[ -e f ] && echo here || echo missing",
        right: "here",
        wrong: "missing",
    },
    Rule {
        kernels: ALL,
        // A link changes nothing that a name or a permission depends on.
        fault: "attr",
        stage: "echo text > f",
        warm: "stat -c %h f; stat -c %h f",
        change: "ln f g",
        look: "stat -c %h f",
        right: "2",
        wrong: "1",
    },
    Rule {
        kernels: ALL,
        // The share's root: walking through it needs no look-up that would refresh it.
        fault: "perm",
        stage: "echo text > f",
        warm: "$NOBODY \"cat $PWD/f\"",
        change: "chmod 700 ..",
        look: "$NOBODY \"cat $PWD/f 2> /dev/null || echo denied\"",
        right: "denied",
        wrong: "text",
    },
    Rule {
        kernels: ALL,
        // The kernel takes the owner of what is to be removed from the inode, without asking.
        fault: "dentry-perm",
        stage: "chmod 1777 .; echo text > f; chown nobody f",
        warm: "$NOBODY 'cat f'; stat f",
        change: "chown root f",
        look: "$NOBODY 'unlink f 2> /dev/null && echo removed || echo denied'",
        right: "denied",
        wrong: "removed",
    },
    Rule {
        kernels: ALL,
        // The directory's time is what it was, as it may be within a clock's tick.
        fault: "readdir",
        stage: "touch f; touch -d 2020-01-01 .",
        warm: "ls; ls",
        change: "touch g; touch -d 2020-01-01 .",
        look: "echo $(ls)",
        right: "f g",
        wrong: "f",
    },
    Rule {
        kernels: ALL,
        fault: "page",
        stage: "echo old > f",
        warm: "dd if=f; dd if=f",
        change: "echo new | dd of=f conv=notrunc",
        look: "dd if=f",
        right: "new",
        wrong: "old",
    },
    Rule {
        kernels: ALL,
        // The first read after a change goes around the cache, the second fills it anew.
        fault: "adopt",
        stage: "echo old > f",
        warm: "dd if=f; dd if=f",
        change: "echo new | dd of=f conv=notrunc",
        look: "dd if=f > /dev/null; dd if=f",
        right: "new",
        wrong: "old",
    },
    Rule {
        // busybox's cat is sendfile(), which is a read() in 6.1.
        kernels: &["6.12", "7.2"],
        fault: "splice",
        stage: "echo old > f",
        warm: "dd if=f; dd if=f",
        change: "echo new | dd of=f conv=notrunc",
        look: "cat f > /tmp/copy; cat /tmp/copy",
        right: "new",
        wrong: "old",
    },
    Rule {
        kernels: ALL,
        // The guest's own write must not vouch for what the other one wrote before it.
        fault: "own",
        stage: "echo aaaabbbb > f",
        warm: "dd if=f; dd if=f",
        change: "printf AAAA | dd of=f conv=notrunc",
        look: "printf B | dd of=f bs=1 seek=4 conv=notrunc; dd if=f",
        right: "AAAABbbb",
        wrong: "aaaaBbbb",
    },
    Rule {
        kernels: ALL,
        // Through a descriptor: no look-up on the way, which would refresh the owner.
        fault: "setattr",
        stage: "echo text > f; chown nobody f",
        warm: "hold $NOBODY \"exec 3< f; $WAIT; \
               touch -c -d 2020-01-01 /proc/self/fd/3 && echo changed || echo denied\"",
        change: "chown root f",
        look: "said",
        right: "denied",
        wrong: "changed",
    },
    Rule {
        kernels: ALL,
        // Mode and owner stay as they are. An ACL is kept in a place of its own, which no look-up refreshes.
        fault: "acl",
        stage: "echo text > f; samepage-calls set-acl f $(id -u nobody) 4",
        warm: "$NOBODY 'cat f'",
        change: "samepage-calls set-acl f $(id -u nobody) 0",
        look: "$NOBODY 'cat f 2> /dev/null || echo denied'",
        right: "denied",
        wrong: "text",
    },
    Rule {
        kernels: ALL,
        // The host appends where the end is. Where the writer believes to be is its guest's affair.
        fault: "append",
        stage: "echo 1234567 > f",
        warm: "hold sh -c \"exec 3>> f; $WAIT; echo abc >&3; \
               grep -o '[0-9]*$' /proc/self/fdinfo/3 | head -n 1\"",
        change: "echo 1234567 >> f",
        look: "said",
        right: "20",
        wrong: "12",
    },
    Rule {
        kernels: ALL,
        fault: "mmap",
        stage: "echo old > f",
        warm: "dd if=f; dd if=f",
        change: "echo new | dd of=f conv=notrunc",
        look: "samepage-calls map f",
        right: "new",
        wrong: "old",
    },
    Rule {
        // A walk that has found a directory by its old name is overtaken by one to the new name. Later kernels say which
        // name is meant.
        kernels: &["6.1", "6.12"],
        fault: "move",
        stage: "mkdir x",
        warm: "stat x; stat x",
        change: "mv x y",
        look: "linger 3000; (stat x > /dev/null && echo found || echo missing) > /tmp/said & \
               sleep 1; linger 0; stat y > /dev/null; wait; cat /tmp/said",
        right: "missing",
        wrong: "found",
    },
    Rule {
        kernels: ALL,
        // Two directories have changed places, and this guest works in the one that was below.
        fault: "move",
        stage: "mkdir -p a/b; echo text > a/f",
        warm: "cd a/b; hold sh -c \"$WAIT; cat a/f || echo lost\"",
        change: "mv a/b c; mv a c/a",
        look: "said",
        right: "text",
        wrong: "lost",
    },
    Rule {
        kernels: ALL,
        // Closing any descriptor of a file ends the locks of whoever closes it, also one that was open to be read.
        fault: "flush",
        stage: ": > f; : > gate",
        warm: "samepage-locker posix gate write:0:0 hold > /tmp/gate & echo $! > /tmp/pid; \
               until grep -q ok /tmp/gate; do sleep 0.1; done; \
               samepage-locker posix f write:0:0 hold-until:gate close-read hold > /tmp/locks & \
               until grep -q ok /tmp/locks; do sleep 0.1; done",
        change: ":",
        look: "kill $(cat /tmp/pid); until grep -q close /tmp/locks; do sleep 0.1; done; \
               samepage-locker posix f write:0:0 | cut -d ' ' -f 2; kill $(pidof samepage-locker)",
        right: "ok",
        wrong: "EAGAIN",
    },
    Rule {
        kernels: ALL,
        // A directory that was opened without asking cannot be opened any more. The daemon looks at so many others that it
        // does not keep a descriptor of this one, by which it could be.
        fault: "gone",
        stage: "mkdir d more; touch d/f; cd more; mkdir $(seq 300)",
        warm: "ls d; ls d; ls d; hold sh -c \"exec 3< d; $WAIT; samepage-calls list <&3\"; \
               ls -l more; stat more/*",
        change: "rm -r d",
        look: "said",
        right: "ENOENT",
        wrong: "ESTALE",
    },
];

/// For files that are read through the window, which sends nothing to the host.
pub(super) const DAX: &[Rule] = &[Rule {
    kernels: ALL,
    fault: "dax",
    stage: "head -c 4096 /dev/zero > f",
    warm: "dd if=f; hold sh -c \"exec 3< f; $WAIT; dd bs=4096 <&3 | wc -c\"",
    change: "head -c 4096 /dev/zero >> f",
    look: "said",
    right: "8192",
    wrong: "4096",
}];
