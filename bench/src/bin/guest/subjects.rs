//! Guests that differ in who vouches for what they have cached.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::apt::Release;
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::cargo::find_in_path;
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::{Builder, Root};
use samepage_tests::framework::{Command, Lab, paths};

use crate::jobs;

/// Files of one directory.
const IN_A_DIRECTORY: usize = 20;
/// Bytes of a file.
const BYTES: usize = 64;
/// Megabytes of a guest. They are all up at once.
const MEMORY: u32 = 768;

/// A guest with a tree of its own to look at, all of them alike.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) lab: Lab,
    /// Its daemon counts requests.
    pub(crate) counts: bool,
}

impl Subject {
    /// Boot those whose names contain one of `wanted`, or all. The first one is what the others are held against.
    pub(crate) fn all(kernel: &str, files: usize, wanted: &[String]) -> Result<Vec<Self>> {
        let ours = || Lab::builder().daemon(Program::Samepaged);
        let theirs = || Lab::builder().daemon(Program::Virtiofsd);
        let builders = [
            ("coherent", true, ours().coherent()),
            ("virtiofsd auto", false, theirs().cache("auto")),
            ("virtiofsd never", false, theirs().cache("never")),
            ("virtiofsd always", false, theirs().cache("always")),
            ("samepaged auto", true, ours().cache("auto")),
            ("samepaged never", true, ours().cache("never")),
            ("samepaged always", true, ours().cache("always")),
        ];
        let is_wanted = |name: &str| {
            let named = wanted.iter().any(|part| name.contains(part.as_str()));
            wanted.is_empty() || name == "coherent" || named
        };
        let boot = |(name, counts, builder)| {
            Ok(Self { name, lab: boot(name, builder, kernel, files)?, counts })
        };
        let subjects: Vec<Self> = builders
            .into_iter()
            .filter(|(name, ..)| is_wanted(name))
            .map(boot)
            .collect::<Result<_>>()?;
        ensure!(subjects[0].lab[0].is_coherent(), "the first guest is not coherent");
        Ok(subjects)
    }
}

fn boot(name: &str, builder: Builder, kernel: &str, files: usize) -> Result<Lab> {
    let logs = paths::rig().join("logs/bench").join(name.replace(' ', "-"));
    let builder = builder.kernel(kernel).root(Root::Host).memory(MEMORY).logs(logs);
    let lab = builder.command_limit(Duration::from_mins(10)).boot()?;
    plant(&lab.host(jobs::TREE), files)?;
    lab[0].sh(&jobs::commit())?.ok().with_context(|| name.to_owned())?;
    let archive = fs::read(tools::zlib_source()?)?;
    let keep = Command::sh(format!("cat > {}", jobs::ARCHIVE)).stdin(archive);
    lab[0].run(keep)?.ok()?;
    Ok(lab)
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
