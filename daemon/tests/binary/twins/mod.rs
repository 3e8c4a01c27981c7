//! samepaged and virtiofsd 1.14, given the same options, directory and requests: what comes back is the same.
//!
//! Each case is a script that writes down what it asked and what it got. Where the two differ by intention the case says
//! so. Without a virtiofsd (`SAMEPAGE_VIRTIOFSD`, or the rig's) the tests are skipped, with a line that says so.

mod attributes;
mod identity;
mod options;
mod scene;

use std::path::PathBuf;
use std::process::Command;

use fuse::abi::InitFlags;

use crate::support::daemon::samepaged;
use scene::Scene;

/// What one daemon did: why it did not start, or the script's lines.
pub(super) type Outcome = Result<Vec<String>, String>;

/// The other daemon, or none, with a line that says so.
fn virtiofsd() -> Option<PathBuf> {
    let rig = std::env::var_os("SAMEPAGE_RIG").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/rig")),
        PathBuf::from,
    );
    let program = std::env::var_os("SAMEPAGE_VIRTIOFSD")
        .map_or_else(|| rig.join("virtiofsd-1.14.0/bin/virtiofsd"), PathBuf::from);
    let here = program.exists() && rustix::process::geteuid().is_root();
    if !here {
        eprintln!("skipped: needs root and a virtiofsd (cargo xtask fetch --all)");
    }
    here.then_some(program)
}

/// Runs `script` with both daemons: ours, then virtiofsd.
fn both(
    options: &[&str],
    flags: InitFlags,
    script: impl Fn(&mut Scene),
) -> Option<(Outcome, Outcome)> {
    let other = virtiofsd()?;
    let ours = scene::play(samepaged(), options, flags, &script);
    let theirs = scene::play(Command::new(other), options, flags, &script);
    Some((ours, theirs))
}

/// Runs `script` with both daemons. Both refuse to start, or the scripts' lines are equal; these are returned.
pub(super) fn same(
    options: &[&str],
    flags: InitFlags,
    script: impl Fn(&mut Scene),
) -> Option<Vec<String>> {
    same_but(options, flags, &[], script)
}

/// As [`same`], but for lines that end with what `differ` says: ours first, then virtiofsd's.
pub(super) fn same_but(
    options: &[&str],
    flags: InitFlags,
    differ: &[(&str, &str)],
    script: impl Fn(&mut Scene),
) -> Option<Vec<String>> {
    let known = |ours: &str, theirs: &str| {
        differ.iter().any(|(our, their)| ours.ends_with(our) && theirs.ends_with(their))
    };
    match both(options, flags, script)? {
        (Ok(ours), Ok(theirs)) => {
            for (ours, theirs) in ours.iter().zip(&theirs) {
                if !known(ours, theirs) {
                    assert_eq!(ours, theirs, "{options:?}: ours and virtiofsd's");
                }
            }
            assert_eq!(ours.len(), theirs.len(), "{options:?}");
            Some(ours)
        }
        (Err(_), Err(_)) => Some(Vec::new()),
        (ours, theirs) => panic!("{options:?}: ours: {ours:?}\nvirtiofsd's: {theirs:?}"),
    }
}
