//! What is looked at.

use std::time::Duration;

use anyhow::{Context, Result};
use samepage_tests::framework::lab::{Guest, MOUNT_POINT};
use samepage_tests::framework::{Command, cargo};

/// The tree, below the share.
pub(crate) const TREE: &str = "tree";
/// Longer than any cache with timeouts keeps anything.
const LONG: Duration = Duration::from_secs(10);
/// How often the tree is looked at in one round.
const TIMES: usize = 5;

/// One of the things that people do with a tree.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// What a figure is the time of.
    pub(crate) of: &'static str,
    /// How long nobody looks between `before` and `script`.
    pub(crate) pause: Duration,
    /// Done before the pause, so that what is cached is cached.
    before: &'static str,
    /// `None` for a script that says itself how long it took.
    timed: Option<&'static str>,
    probe: Option<&'static str>,
}

const FIND: &str = "find . -path ./.git -prune -o -size +0 -print > /dev/null";
const STATUS: &str = "test -z \"$(git status --porcelain)\"";

pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "stat, warm",
        of: "a stat",
        pause: Duration::ZERO,
        before: FIND,
        timed: None,
        probe: Some("stat"),
    },
    Job {
        name: "missing name, warm",
        of: "a stat",
        pause: Duration::ZERO,
        before: FIND,
        timed: None,
        probe: Some("missing"),
    },
    Job {
        name: "find, cold",
        of: "all",
        pause: Duration::ZERO,
        // The program itself shall not have to be read again.
        before: "echo 3 > /proc/sys/vm/drop_caches; find /proc/self/fd > /dev/null",
        timed: Some(FIND),
        probe: None,
    },
    Job {
        name: "find, 10 s later",
        of: "all",
        pause: LONG,
        before: FIND,
        timed: Some(FIND),
        probe: None,
    },
    Job {
        name: "git status, 10 s later",
        of: "all",
        pause: LONG,
        before: STATUS,
        timed: Some(STATUS),
        probe: None,
    },
];

/// The tree under version control, with all that it has in the past.
pub(crate) fn commit() -> String {
    format!(
        "set -e; cd {MOUNT_POINT}/{TREE}; export HOME=/tmp; git init -q .; \
         git config user.name guest; git config user.email guest@example.org; \
         git config gc.auto 0; git add .; git commit -qm all; sleep 2; git update-index -q --refresh"
    )
}

impl Job {
    /// Let the guest cache what it will look at.
    pub(crate) fn prepare(&self, guest: &Guest) -> Result<()> {
        let script = self.before;
        run(guest, script).map(drop)
    }

    /// Nanoseconds.
    pub(crate) fn time(&self, guest: &Guest) -> Result<f64> {
        let text = match (self.timed, self.probe) {
            (Some(script), _) => {
                run(guest, &format!("a=$(date +%s%N); {script}; b=$(date +%s%N); echo $a $b"))?
            }
            (None, probe) => {
                let probe = probe.context("a job is a script or a probe")?;
                let program = cargo::probe()?;
                run(guest, &format!("{} {probe} d0/.. {TIMES}", program.display()))?
            }
        };
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let mut number = || numbers.next().context("the guest says no time")?.context("no number");
        let (first, second) = (number()?, number()?);
        Ok(if self.timed.is_some() { second.saturating_sub(first) } else { second } as f64)
    }
}

fn run(guest: &Guest, script: &str) -> Result<String> {
    let directory = format!("{MOUNT_POINT}/{TREE}");
    let command = Command::sh(format!("set -e; {script}")).directory(directory);
    let command = command.env("HOME", "/tmp").env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    Ok(guest.run(command)?.ok()?.text())
}
