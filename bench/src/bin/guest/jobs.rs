//! What is done in a guest.

use std::time::Duration;

use anyhow::{Context, Result};
use samepage_tests::framework::{Command, cargo};

use crate::subjects::Subject;

/// The tree, below the share.
pub(crate) const TREE: &str = "tree";
/// The source of a package, packed, in a guest's own memory.
pub(crate) const ARCHIVE: &str = "/tmp/package.tar";
/// Longer than any cache with timeouts keeps anything.
const LONG: Duration = Duration::from_secs(10);
/// How often the tree is looked at in one round.
const TIMES: usize = 5;
/// As often as the command line wants.
const ALWAYS: usize = usize::MAX;

/// One of the things that people do with a tree.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// What a figure is the time of.
    pub(crate) of: &'static str,
    /// How long nobody looks between `before` and what is timed.
    pub(crate) pause: Duration,
    /// At most so often, where one time takes long.
    pub(crate) rounds: usize,
    /// Done before the pause, so that what is cached is cached.
    before: &'static str,
    timed: Timed,
}

/// How it is known how long something took.
enum Timed {
    /// A script, by the guest's clock.
    Script(&'static str),
    /// A way of `samepage-probe`, which says it itself.
    Probe(&'static str),
}

const FIND: &str = "find . -path ./.git -prune -o -size +0 -print > /dev/null";
const STATUS: &str = "test -z \"$(git status --porcelain)\"";
/// Nothing of the share is in the guest's memory; the programs are.
const FORGET: &str = "echo 3 > /proc/sys/vm/drop_caches; find /proc/self/fd > /dev/null";
const EMPTY: &str = "rm -rf ../package; mkdir ../package";
const UNTAR: &str = "tar -xf /tmp/package.tar -C ../package --strip-components=1";
const CONFIGURED: &str = "rm -rf ../package; mkdir ../package; cd ../package; \
     tar -xf /tmp/package.tar --strip-components=1; CFLAGS=-O0 ./configure --static > /dev/null";
const MAKE: &str = "$MAKE -C ../package libz.a > /dev/null";

impl Job {
    /// A script that runs when all that it needs is in the guest's cache, were it not for time passing.
    const fn warm(name: &'static str, pause: Duration, script: &'static str) -> Self {
        Self {
            name,
            of: "all",
            pause,
            rounds: ALWAYS,
            before: script,
            timed: Timed::Script(script),
        }
    }

    const fn script(
        name: &'static str,
        rounds: usize,
        before: &'static str,
        script: &'static str,
    ) -> Self {
        let timed = Timed::Script(script);
        Self { name, of: "all", pause: Duration::ZERO, rounds, before, timed }
    }

    const fn storm(name: &'static str, probe: &'static str) -> Self {
        let (pause, timed) = (Duration::ZERO, Timed::Probe(probe));
        Self { name, of: "a stat", pause, rounds: ALWAYS, before: FIND, timed }
    }
}

pub(crate) const JOBS: &[Job] = &[
    Job::storm("stat, warm", "stat"),
    Job::storm("missing name, warm", "missing"),
    Job::script("find, cold", ALWAYS, FORGET, FIND),
    Job::warm("find, at once", Duration::ZERO, FIND),
    Job::warm("find, 10 s later", LONG, FIND),
    Job::script("git status, cold", ALWAYS, FORGET, STATUS),
    Job::warm("git status, at once", Duration::ZERO, STATUS),
    Job::warm("git status, 10 s later", LONG, STATUS),
    Job::script("untar", 3, EMPTY, UNTAR),
    Job::script("make", 1, CONFIGURED, MAKE),
    Job::warm("make, nothing to do", LONG, MAKE),
];

/// The tree under version control, with all that it has in the past.
pub(crate) fn commit(place: &str) -> String {
    format!(
        "set -e; cd {place}; export HOME=/tmp; git init -q .; \
         git config user.name guest; git config user.email guest@example.org; \
         git config gc.auto 0; git add .; git commit -qm all; sleep 2; git update-index -q --refresh"
    )
}

impl Job {
    /// Let the guest cache what it will look at.
    pub(crate) fn prepare(&self, subject: &Subject, make: &str) -> Result<()> {
        run(subject, make, self.before).map(drop).with_context(|| self.name)
    }

    /// Nanoseconds.
    pub(crate) fn time(&self, subject: &Subject, make: &str) -> Result<f64> {
        let script = match self.timed {
            Timed::Script(script) => {
                format!("a=$(date +%s%N); {script}; b=$(date +%s%N); echo $a $b")
            }
            Timed::Probe(way) => format!("{} {way} d0/.. {TIMES}", cargo::probe()?.display()),
        };
        let text = run(subject, make, &script).with_context(|| self.name)?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let mut number = || numbers.next().context("the guest says no time")?.context("no number");
        let (first, second) = (number()?, number()?);
        Ok(match self.timed {
            Timed::Script(_) => second.saturating_sub(first),
            Timed::Probe(_) => second,
        } as f64)
    }
}

fn run(subject: &Subject, make: &str, script: &str) -> Result<String> {
    let command = Command::sh(format!("set -e; {script}")).directory(&subject.place);
    let command = command.env("HOME", "/tmp").env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    Ok(subject.lab[0].run(command.env("MAKE", make))?.ok()?.text())
}
