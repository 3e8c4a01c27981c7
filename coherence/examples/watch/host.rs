//! Processes that change files, as anybody on the host might.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coherence::{Clock, SystemClock};

use crate::Result;

/// Changes of the background load in each millisecond.
const LOAD: u64 = 10;
/// Files that the background load changes.
pub(crate) const LOADED: u64 = 100;

/// `CLOCK_MONOTONIC`, in nanoseconds: the same in all processes.
pub(crate) fn now() -> u64 {
    SystemClock.now().as_nanos() as u64
}

fn set_mode(file: &Path, low: u64) -> Result<()> {
    Ok(fs::set_permissions(file, PermissionsExt::from_mode(0o600 | (low as u32 & 0o77)))?)
}

/// Makes a change for each byte that it is sent, and answers with the time.
pub(crate) fn change(file: &Path) -> Result<()> {
    let (mut orders, mut times) = (std::io::stdin(), std::io::stdout());
    let mut order = [0];
    while orders.read(&mut order)? == 1 {
        set_mode(file, order[0].into())?;
        times.write_all(&now().to_ne_bytes())?;
        times.flush()?;
    }
    Ok(())
}

/// One of the files that [`load`] changes.
pub(crate) fn loaded(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("load-{number}"))
}

/// Changes files without end.
pub(crate) fn load(directory: &Path) -> Result<()> {
    let begun = now();
    for round in 0.. {
        for change in round * LOAD..(round + 1) * LOAD {
            set_mode(&loaded(directory, change % LOADED), change / LOADED)?;
        }
        let next = begun + (round + 1) * 1_000_000;
        std::thread::sleep(Duration::from_nanos(next.saturating_sub(now())));
    }
    Ok(())
}

/// Changes `count` files of a tree, `stride` files apart, and says how long one took, in nanoseconds.
pub(crate) fn touch(tree: &Path, stride: u64, count: u64) -> Result<()> {
    let files = fs::read_to_string(tree.join("files"))?.parse::<u64>()?;
    let paths: Vec<_> = (0..count).map(|i| crate::tree::file(tree, i * stride % files)).collect();
    let begun = now();
    for (number, path) in (0..).zip(&paths) {
        set_mode(path, number / files + 1)?;
    }
    println!("{}", (now() - begun) / count);
    Ok(())
}

/// A child that ends with this value.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(words: &[&OsStr]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    pub(crate) fn pipes(&mut self) -> Result<(&mut impl Write, &mut impl Read)> {
        let orders = self.0.stdin.as_mut().ok_or("no pipe")?;
        Ok((orders, self.0.stdout.as_mut().ok_or("no pipe")?))
    }

    /// The one line that it says before it ends.
    pub(crate) fn line(mut self) -> Result<String> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        if self.0.wait()?.success() { Ok(line.trim().to_owned()) } else { Err("it failed".into()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
