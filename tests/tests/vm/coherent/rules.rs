//! Each rule for the driver, with a look that is wrong without it.
//!
//! One guest changes what another has cached. It must see the change; with the rule's check left
//! out it must not, or the test could not fail.

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::{Guest, Lab};

use super::assert_calm;

/// Something that a guest caches and another one changes.
struct Rule {
    /// The check that makes it right, as the driver's parameter calls it.
    fault: &'static str,
    /// Sets the stage, in the other guest.
    stage: &'static str,
    /// Lets the guest cache it.
    warm: &'static str,
    /// Changes it, in the other guest.
    change: &'static str,
    /// What the guest sees.
    look: &'static str,
    /// What it must see.
    right: &'static str,
    /// What it sees without the check.
    wrong: &'static str,
}

/// Scripts run in an empty directory of the share, `$NOBODY script` as a user.
const RULES: &[Rule] = &[
    Rule {
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
        fault: "negative",
        stage: ":",
        warm: "[ ! -e f ]",
        change: "echo here > f",
        look: "[ -e f ] && echo here || echo missing",
        right: "here",
        wrong: "missing",
    },
    Rule {
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
        fault: "page",
        stage: "echo old > f",
        warm: "dd if=f; dd if=f",
        change: "echo new | dd of=f conv=notrunc",
        look: "dd if=f",
        right: "new",
        wrong: "old",
    },
    Rule {
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
        // busybox's cat is sendfile().
        fault: "splice",
        stage: "echo old > f",
        warm: "dd if=f; dd if=f",
        change: "echo new | dd of=f conv=notrunc",
        look: "cat f > /tmp/copy; cat /tmp/copy",
        right: "new",
        wrong: "old",
    },
    Rule {
        // The guest's own write must not vouch for what the other one wrote before it.
        fault: "own",
        stage: "echo aaaabbbb > f",
        warm: "dd if=f; dd if=f",
        change: "printf AAAA | dd of=f conv=notrunc",
        look: "printf B | dd of=f bs=1 seek=4 conv=notrunc; dd if=f",
        right: "AAAABbbb",
        wrong: "aaaaBbbb",
    },
];

/// Whom a file may belong to but root, and how to be it.
const PRELUDE: &str = "NOBODY='su -s /bin/sh nobody -c'";

/// How often a look may be right although its check was left out.
const ATTEMPTS: u32 = 6;

#[test]
fn every_check_is_missed_when_it_is_left_out() -> Result<()> {
    // The host's own events for a change can end more than the change itself: then another check would notice it, too.
    let lab = Lab::builder().guests(2).coherent().daemon(Program::Samepaged);
    let lab = lab.daemon_args(["--watch", "off"]).module_fault("none").boot()?;
    let mut failures = Vec::new();
    for rule in RULES {
        for (fault, expected) in [("none", rule.right), (rule.fault, rule.wrong)] {
            // With the check it is right the first time. Without it there may be nothing in the cache to be wrong about.
            let attempts = if fault == "none" { 1 } else { ATTEMPTS };
            let mut seen = String::new();
            for attempt in 0..attempts {
                seen = look(&lab, rule, fault, attempt).with_context(|| rule.fault)?;
                if seen == expected {
                    break;
                }
            }
            println!("{}, left out {fault}: {seen}", rule.fault);
            if seen != expected {
                failures.push(format!("{}: {fault}: {seen}, not {expected}", rule.fault));
            }
        }
    }
    for guest in lab.guests() {
        assert_calm(guest)?;
    }
    assert!(failures.is_empty(), "{failures:#?}");
    lab.power_off()
}

fn look(lab: &Lab, rule: &Rule, fault: &str, attempt: u32) -> Result<String> {
    let (other, guest) = (&lab[0], &lab[1]);
    set_fault(guest, "none")?;
    // A new directory each time: nothing is cached of it.
    let place = format!("/mnt/{}-{fault}-{attempt}", rule.fault);
    let run = |guest: &Guest, script: &str| -> Result<String> {
        let output = guest.sh(&format!("{PRELUDE}\ncd {place} && {{ {script}\n}} 2> /dev/null"))?;
        Ok(output.ok().with_context(|| script.to_owned())?.text())
    };
    other.sh(&format!("chmod 755 /mnt; mkdir {place}"))?.ok()?;
    run(other, rule.stage)?;
    run(guest, rule.warm)?;
    set_fault(guest, fault)?;
    run(other, rule.change)?;
    let seen = run(guest, rule.look)?;
    set_fault(guest, "none")?;
    Ok(seen.trim().to_owned())
}

fn set_fault(guest: &Guest, fault: &str) -> Result<()> {
    let parameter = "/sys/module/samepage/parameters/fault";
    let set = guest.sh(&format!("echo {fault} > {parameter} && cat {parameter}"))?.ok()?;
    ensure!(set.text().trim() == fault, "the driver has no fault {fault}");
    Ok(())
}
