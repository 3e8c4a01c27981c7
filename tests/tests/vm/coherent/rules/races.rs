//! Rules for a task that is overtaken between two steps of its own.

use super::Rule;
use super::table::ALL;

pub(super) const RACES: &[Rule] = &[
    Rule {
        kernels: ALL,
        // A write within the known size is sent from cached pages; meanwhile a reply brings a smaller size.
        fault: "cut",
        stage: "printf aaaabbbb > f",
        warm: "dd if=f; dd if=f; hold sh -c \"exec 3<> f; $WAIT; printf WWWWWWWW >&3; echo done\"",
        change: "when_told 'truncate -s 4 f'",
        look: "stand write; : > /tmp/go; stands write; tell; stat f > /dev/null; stand; said > /dev/null; \
               dd if=f | tr '\\0' 0",
        right: "WWWWWWWW",
        wrong: "WWWW0000",
    },
    Rule {
        kernels: ALL,
        // A reply's size cuts pages late: another task has a newer size by then, its word, and pages filled by it.
        fault: "cut",
        stage: "printf aaaabbbb > f",
        warm: "dd if=f; dd if=f",
        change: "truncate -s 4 f; when_told 'printf cccccccc | dd of=f conv=notrunc'",
        look: "stand cut; stat f > /dev/null & stands cut; tell; \
               dd if=f > /dev/null; dd if=f > /dev/null; stand; wait; dd if=f | tr '\\0' 0",
        right: "cccccccc",
        wrong: "cccc0000",
    },
    Rule {
        kernels: ALL,
        // open(O_TRUNC) has cut the file on the host. Its size of 0 is put in place here when another guest has written long
        // since, and a reader already knows the new size.
        fault: "trunc",
        stage: "printf aaaabbbb > f",
        warm: "dd if=f; dd if=f",
        change: "when_told 'printf cccccccc | dd of=f conv=notrunc'",
        // The descriptor stays open, for closing it would be one more change.
        look: "stand trunc; rm -f /tmp/opened /tmp/end; \
               sh -c 'exec 3> f; : > /tmp/opened; until [ -e /tmp/end ]; do sleep 0.1; done' & \
               stands trunc; tell; dd if=f > /dev/null; dd if=f > /dev/null; \
               stand trunc read; dd if=f > /tmp/said & reads=$!; stands trunc read; \
               stand read; until [ -e /tmp/opened ]; do sleep 0.1; done; \
               stand; wait $reads; : > /tmp/end; wait; cat /tmp/said",
        right: "cccccccc",
        wrong: "",
    },
    Rule {
        kernels: ALL,
        // A directory is moved away before the host removes what then has its name: the one that lives is marked as dead. It
        // is back when it is looked for again, and a process was in it all the time.
        fault: "dead",
        stage: "mkdir p p/d",
        warm: "ls -d p/d; hold sh -c \"cd p/d; $WAIT; echo done\"",
        change: "when_told 'mv p/d e; mkdir p/d'; \
                 (until [ -d again ]; do sleep 0.1; done; mv e p/d; : > back) < /dev/null > /dev/null 2>&1 &",
        look: "stand rmdir; rmdir p/d & removal=$!; stands rmdir; tell; stand; wait $removal; \
               mkdir again; until [ -e back ]; do sleep 0.1; done; mkdir p/d/new 2> /dev/null; said > /dev/null; ls p/d",
        right: "new",
        wrong: "",
    },
];
