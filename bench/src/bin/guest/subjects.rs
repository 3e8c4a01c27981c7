//! Guests that differ in who vouches for what they have cached.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::{Builder, Root};
use samepage_tests::framework::{Lab, paths};

use crate::jobs;

/// Files of one directory.
const IN_A_DIRECTORY: usize = 50;
/// Bytes of a file.
const BYTES: usize = 64;

/// A guest with a tree of its own to look at, all of them alike.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) lab: Lab,
}

impl Subject {
    /// Boot them all. The first one is what the others are held against.
    pub(crate) fn all(kernel: &str, files: usize) -> Result<Vec<Self>> {
        let virtiofsd = |cache: &str| Lab::builder().daemon(Program::Virtiofsd).cache(cache);
        let builders = [
            ("coherent", Lab::builder().daemon(Program::Samepaged).coherent()),
            ("auto", virtiofsd("auto")),
            ("never", virtiofsd("never")),
            ("always", virtiofsd("always")),
        ];
        let boot = |(name, builder): (&'static str, Builder)| -> Result<Self> {
            let logs = paths::rig().join("logs/bench").join(name);
            let builder = builder.kernel(kernel).root(Root::Host).memory(1024).logs(logs);
            let lab = builder.command_limit(Duration::from_mins(10)).boot()?;
            plant(&lab.host(jobs::TREE), files)?;
            lab[0].sh(&jobs::commit())?.ok().with_context(|| name)?;
            Ok(Self { name, lab })
        };
        let subjects: Vec<Self> = builders.into_iter().map(boot).collect::<Result<_>>()?;
        ensure!(subjects[0].lab[0].is_coherent(), "the first guest is not coherent");
        Ok(subjects)
    }
}

fn plant(tree: &Path, files: usize) -> Result<()> {
    for number in 0..files {
        let directory = tree.join(format!("d{}", number / IN_A_DIRECTORY));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("f{number}")), [b'x'; BYTES])?;
    }
    Ok(())
}
