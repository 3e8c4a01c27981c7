//! Guests that differ in who vouches for what they have cached.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::apt::Release;
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::cargo::find_in_path;
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::{Builder, MOUNT_POINT, Root};
use samepage_tests::framework::{Command, Lab, paths};

use crate::jobs;

/// Files of one directory.
const IN_A_DIRECTORY: usize = 20;
/// Bytes of a file.
const BYTES: usize = 64;
/// Megabytes of a guest. They are all up at once.
const MEMORY: u32 = 768;

/// The guest whose tree is in its own memory: the least that a guest's kernel and programs need for a job.
const OWN: &str = "tmpfs";
const MEMORY_FILES: &str = "/tmp/own";
const SHARE: &str = MOUNT_POINT;

/// A guest with a tree of its own to look at, all of them alike.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) lab: Lab,
    /// Where the tree is.
    pub(crate) place: String,
    /// Its daemon counts requests.
    pub(crate) counts: bool,
}

impl Subject {
    /// Boot those whose names contain one of `wanted`, or all. The first one is what the others are held against.
    pub(crate) fn all(kernel: &str, files: usize, wanted: &[String]) -> Result<Vec<Self>> {
        let ours = || Lab::builder().daemon(Program::Samepaged);
        let theirs = || Lab::builder().daemon(Program::Virtiofsd);
        let builders = [
            ("coherent", SHARE, ours().coherent()),
            (OWN, MEMORY_FILES, ours().cache("auto")),
            ("virtiofsd auto", SHARE, theirs().cache("auto")),
            ("virtiofsd never", SHARE, theirs().cache("never")),
            ("virtiofsd always", SHARE, theirs().cache("always")),
            ("samepaged auto", SHARE, ours().cache("auto")),
            ("samepaged never", SHARE, ours().cache("never")),
            ("samepaged always", SHARE, ours().cache("always")),
        ];
        let is_wanted = |name: &str| {
            let named = wanted.iter().any(|part| name.contains(part.as_str()));
            wanted.is_empty() || name == "coherent" || named
        };
        let boot = |(name, place, builder): (&'static str, _, Builder)| -> Result<Self> {
            let lab = boot(name, builder, kernel)?;
            let counts = name != OWN && !name.starts_with("virtiofsd");
            let subject = Self { name, lab, place: format!("{place}/{}", jobs::TREE), counts };
            subject.furnish(files).with_context(|| name)?;
            Ok(subject)
        };
        let subjects: Vec<Self> = builders
            .into_iter()
            .filter(|(name, ..)| is_wanted(name))
            .map(boot)
            .collect::<Result<_>>()?;
        ensure!(subjects[0].lab[0].is_coherent(), "the first guest is not coherent");
        Ok(subjects)
    }

    /// The tree, where it belongs, and the package.
    fn furnish(&self, files: usize) -> Result<()> {
        let guest = &self.lab[0];
        plant(&self.lab.host(jobs::TREE), files)?;
        if self.name == OWN {
            guest.sh(&format!("mkdir {MEMORY_FILES}; cp -r {SHARE}/* {MEMORY_FILES}"))?.ok()?;
        }
        guest.sh(&jobs::commit(&self.place))?.ok()?;
        let archive = fs::read(tools::zlib_source()?)?;
        let keep = Command::sh(format!("cat > {}", jobs::ARCHIVE)).stdin(archive);
        guest.run(keep)?.ok().map(drop)
    }
}

fn boot(name: &str, builder: Builder, kernel: &str) -> Result<Lab> {
    let logs = paths::rig().join("logs/bench").join(name.replace(' ', "-"));
    let builder = builder.kernel(kernel).root(Root::Host).memory(MEMORY).logs(logs);
    builder.command_limit(Duration::from_mins(10)).boot()
}

/// The make of this machine, or a fetched one.
pub(crate) fn make() -> Result<String> {
    let make = find_in_path("make").or_else(|_| {
        Ok::<_, anyhow::Error>(tools::package("make", Release::Bookworm)?.join("usr/bin/make"))
    })?;
    Ok(make.display().to_string())
}

fn plant(tree: &Path, files: usize) -> Result<()> {
    for number in 0..files {
        let directory = tree.join(format!("d{}", number / IN_A_DIRECTORY));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("f{number}")), [b'x'; BYTES])?;
    }
    Ok(())
}
