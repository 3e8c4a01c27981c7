//! Looks at a tree over and over, and says how long a look takes.
//!
//! `samepage-probe stat DIRECTORY ROUNDS`: every file below it, by path;
//! `samepage-probe missing DIRECTORY ROUNDS`: a thousand names in it that do not exist;
//! `samepage-probe read FILE ROUNDS`: its first 4 KiB, through one descriptor;
//! `samepage-probe read-each|write-each|cut-each DIRECTORY ROUNDS`: the same of every file below it, through a descriptor
//! each; to cut is to make it empty, and 4 KiB long again.
//! The line `LOOKS NANOSECONDS` says how many looks there were, and how long one took in the quickest
//! round.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Names asked for in vain.
const MISSING: usize = 1000;
/// Bytes of one read.
const PIECE: usize = 4096;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samepage-probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let [what, path, rounds] = words else {
        bail!("usage: samepage-probe stat|missing|read|read-each|write-each|cut-each PATH ROUNDS")
    };
    let path = Path::new(path);
    let rounds: usize = rounds.parse().context("ROUNDS is a number")?;
    match what.as_str() {
        "stat" => {
            let files = files(path)?;
            // Not the standard library's, which asks for the time of birth, too: that is never cached.
            measure(rounds, &files, |file| Ok(rustix::fs::lstat(file).map(drop)?))
        }
        "missing" => {
            let names: Vec<_> =
                (0..MISSING).map(|number| path.join(format!("no-{number}"))).collect();
            measure(rounds, &names, |name| match fs::symlink_metadata(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Err(io::Error::other("is there")),
            })
        }
        "read" => {
            let file = File::open(path)?;
            let mut piece = [0; PIECE];
            measure(rounds, &[path.to_path_buf()], |_| file.read_exact_at(&mut piece, 0))
        }
        "read-each" => each(path, rounds, |file| file.read_exact_at(&mut [0; PIECE], 0)),
        "write-each" => each(path, rounds, |file| file.write_all_at(&[7; PIECE], 0)),
        "cut-each" => each(path, rounds, |file| file.set_len(0).and(file.set_len(PIECE as u64))),
        _ => bail!("there is no {what}"),
    }
}

/// Every file below a directory is open all the time.
fn each(
    directory: &Path,
    rounds: usize,
    mut look: impl FnMut(&File) -> io::Result<()>,
) -> Result<()> {
    let paths = files(directory)?;
    let open = |path: &PathBuf| File::options().read(true).write(true).open(path);
    let open: Vec<_> = paths.iter().map(open).collect::<io::Result<_>>()?;
    let mut all = open.iter().cycle();
    measure(rounds, &paths, |_| all.next().map_or(Ok(()), &mut look))
}

/// Every file below a directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn measure(
    rounds: usize,
    paths: &[PathBuf],
    mut look: impl FnMut(&Path) -> io::Result<()>,
) -> Result<()> {
    ensure!(!paths.is_empty() && rounds > 0, "there is nothing to look at");
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let begun = Instant::now();
        for path in paths {
            look(path).with_context(|| path.display().to_string())?;
        }
        best = best.min(begun.elapsed());
    }
    println!("{} {}", rounds * paths.len(), best.as_nanos() / paths.len() as u128);
    Ok(())
}
