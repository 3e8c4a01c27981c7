//! QEMU: fetched from Debian's backports, or the machine's own.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::apt::{Apt, Release};
use super::{sources, store};
use crate::framework::cargo::find_in_path;

/// Older ones lack shared memory regions, and their emulation of many-request guests is broken.
const MINIMUM: (u32, u32) = (11, 1);
const PROGRAM: &str = "qemu-system-x86_64";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A QEMU that can be started.
#[derive(Debug, Clone)]
pub struct Qemu {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// Its version, major and minor.
    pub version: (u32, u32),
}

impl Qemu {
    /// The QEMU that `SAMEPAGE_QEMU` names, else one fetched from Debian, else (where there is no
    /// Debian mirror) the one in `PATH`.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub fn obtain() -> Result<Self> {
        if let Some(path) = env::var_os("SAMEPAGE_QEMU") {
            return Self::of_the_machine(path.into());
        }
        let name = format!("qemu-{}.{}", MINIMUM.0, MINIMUM.1);
        let tree = store::ensure(&name, |directory| {
            // Not on Debian: said before anything is fetched.
            sources::debian()?;
            let packages = ["qemu-system-x86", "qemu-system-data", "seabios"];
            let apt = Apt::open(Release::Trixie)?;
            let record = apt.unpack_with_dependencies("QEMU", &packages, true, directory)?;
            let version = Self::unpacked(directory)?.version;
            ensure!(version >= MINIMUM, "the mirror has only QEMU {}.{}", version.0, version.1);
            Ok(record)
        });
        match tree {
            Ok(tree) => Self::unpacked(&tree),
            Err(_) if sources::debian().is_err() => {
                let path = find_in_path(PROGRAM).with_context(|| {
                    format!(
                        "this machine has no Debian mirror to fetch QEMU from; install \
                         {PROGRAM} {}.{} or later, or name one in SAMEPAGE_QEMU",
                        MINIMUM.0, MINIMUM.1
                    )
                })?;
                Self::of_the_machine(path)
            }
            Err(error) => Err(error),
        }
    }

    /// A QEMU that was unpacked into `tree`, run by its own dynamic linker with its own libraries.
    fn unpacked(tree: &Path) -> Result<Self> {
        let mut arguments: Vec<OsString> = vec!["--library-path".into()];
        arguments.push(library_path(tree)?);
        arguments.push(tree.join("usr/bin").join(PROGRAM).into());
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            arguments.extend(["-L".into(), tree.join(firmware).into()]);
        }
        let modules = tree.join(LIBRARIES).join("qemu");
        let mut qemu = Self {
            program: tree.join("usr/lib64/ld-linux-x86-64.so.2"),
            arguments,
            environment: vec![("QEMU_MODULE_DIR", modules.into())],
            version: (0, 0),
        };
        qemu.version = qemu.ask_version()?;
        Ok(qemu)
    }

    fn of_the_machine(program: PathBuf) -> Result<Self> {
        let mut qemu =
            Self { program, arguments: Vec::new(), environment: Vec::new(), version: (0, 0) };
        qemu.version = qemu.ask_version()?;
        let (major, minor) = qemu.version;
        if qemu.version < MINIMUM {
            bail!(
                "{} is QEMU {major}.{minor}; {}.{} or later is needed",
                qemu.program.display(),
                MINIMUM.0,
                MINIMUM.1
            );
        }
        Ok(qemu)
    }

    /// A command that starts it; the caller adds the machine.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command
    }

    fn ask_version(&self) -> Result<(u32, u32)> {
        let output = self.command().arg("--version").output();
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse_version(&text).with_context(|| {
            let problem = String::from_utf8_lossy(&output.stderr);
            format!("{} does not tell its version: {text}{problem}", self.program.display())
        })
    }
}

/// The library directory and those below it (some packages keep private libraries there).
fn library_path(tree: &Path) -> Result<OsString> {
    let libraries = tree.join(LIBRARIES);
    let mut directories = vec![libraries.clone()];
    for entry in libraries.read_dir().context("QEMU's libraries are missing")? {
        let path = entry?.path();
        if path.is_dir() {
            directories.push(path);
        }
    }
    Ok(env::join_paths(directories)?)
}

/// `QEMU emulator version 11.1.3 (…)`
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("QEMU emulator version ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_banner() {
        assert_eq!(parse_version("QEMU emulator version 11.1.3 (Debian 1:11.1.3)"), Some((11, 1)));
        assert_eq!(parse_version("something else"), None);
    }
}
