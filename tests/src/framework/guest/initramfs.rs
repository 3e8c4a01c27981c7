//! The small root file system that every guest starts from.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cpio::newc::{Builder, trailer};

use super::modules;
use crate::framework::artifact::{Kernel, module};

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Users that test suites want beside root; Debian hosts have the same.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                      daemon:x:1:1:daemon:/:/bin/sh\n\
                      nobody:x:65534:65534:nobody:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n";

/// What goes into an initramfs.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The kernel that it is for.
    pub kernel: &'a Kernel,
    /// The statically linked first process.
    pub agent: &'a Path,
    /// A statically linked busybox.
    pub busybox: &'a Path,
    /// The driver of coherent guests.
    pub driver: Option<&'a Path>,
    /// More programs: the file on the host, and its absolute path in the guest.
    pub programs: &'a [(PathBuf, String)],
}

/// Write the archive.
///
/// # Errors
/// A file cannot be read, or the archive not be written.
pub fn write(contents: &Contents<'_>, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = Archive { out: BufWriter::new(file), entries: 0 };
    for directory in ["bin", "dev", "etc", "lower", "mnt", "modules", "newroot", "proc", "root"] {
        archive.entry(directory, DIRECTORY, &[])?;
    }
    // The kernel opens the console for the first process before there is a devtmpfs.
    archive.device("dev/console", 5, 1)?;
    archive.device("dev/null", 1, 3)?;
    archive.entry("init", EXECUTABLE, &read(contents.agent)?)?;
    archive.entry("bin/busybox", EXECUTABLE, &read(contents.busybox)?)?;
    archive.entry("bin/sh", LINK, b"busybox")?;
    archive.entry("etc/passwd", PLAIN, PASSWD.as_bytes())?;
    archive.entry("etc/group", PLAIN, GROUP.as_bytes())?;
    if let Some(tree) = &contents.kernel.modules {
        let list = modules::in_order(tree, modules::WANTED, contents.busybox)?;
        for (position, (name, bytes)) in list.iter().enumerate() {
            archive.entry(&format!("modules/{position:02}-{name}.ko"), PLAIN, bytes)?;
        }
    }
    if let Some(driver) = contents.driver {
        archive.with_parents("samepage/modules/samepage.ko", &read(driver)?)?;
        archive.entry("samepage/mount.samepage", EXECUTABLE, &read(&module::mount_helper())?)?;
    }
    for (host, guest) in contents.programs {
        archive.with_parents(guest.trim_start_matches('/'), &read(host)?)?;
    }
    trailer(&mut archive.out)?.flush()?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

struct Archive {
    out: BufWriter<File>,
    entries: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let builder = self.builder(name, mode);
        self.put(builder, bytes)
    }

    fn device(&mut self, name: &str, major: u32, minor: u32) -> io::Result<()> {
        let builder = self.builder(name, CHARACTER_DEVICE).rdev_major(major).rdev_minor(minor);
        self.put(builder, &[])
    }

    /// A program, after the directories above it. Saying a directory twice does no harm.
    fn with_parents(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        for (at, _) in name.match_indices('/') {
            self.entry(&name[..at], DIRECTORY, &[])?;
        }
        self.entry(name, EXECUTABLE, bytes)
    }

    fn builder(&mut self, name: &str, mode: u32) -> Builder {
        self.entries += 1;
        Builder::new(name).ino(self.entries).nlink(1).mode(mode)
    }

    fn put(&mut self, builder: Builder, bytes: &[u8]) -> io::Result<()> {
        let mut entry = builder.write(&mut self.out, bytes.len() as u32);
        entry.write_all(bytes)?;
        entry.finish()?;
        Ok(())
    }
}
