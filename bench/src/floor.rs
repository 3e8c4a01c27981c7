//! The same system calls in a loop, without a daemon, a ring or another thread: what no daemon can be faster than.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rustix::fs::{
    AtFlags, Mode, OFlags, StatxFlags, fgetxattr, mkdirat, open, openat, statx, unlinkat,
};
use rustix::io::{pread, pwrite};

use crate::jobs::{BIG, BIG_SIZE, Fixture, SMALL_FILES, XATTR, small};

/// Times that a loop goes round; the fastest of [`REPEATS`] loops counts.
const TURNS: u32 = 2000;
const REPEATS: u32 = 3;

/// Microseconds for one operation of the job; none where no loop of system calls is its like.
///
/// # Errors
/// The fixture is not what it was.
pub(crate) fn of(job: &str, fixture: &Fixture) -> Result<Option<f64>> {
    let share = fixture.share();
    let directory = path_fd(&share.join("small"))?;
    let work = path_fd(&share.join("work"))?;
    let mut number = 0;
    let mut next = || {
        number = (number + 1) % SMALL_FILES;
        small(number)
    };
    Ok(Some(match job {
        "lookup-hit" => time(|| {
            let fd = openat(&directory, next(), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
            stat(fd)
        })?,
        "lookup-negative" => {
            time(|| Ok(openat(&directory, "missing-0", OFlags::PATH, Mode::empty()).is_err()))?
        }
        "getattr" => time(|| stat(&directory))?,
        "getxattr" => {
            let file = File::open(share.join("small").join(small(0)))?;
            let mut value = [0; 64];
            time(|| Ok(fgetxattr(&file, XATTR, &mut value)?))?
        }
        "open-release" => time(|| Ok(openat(&directory, next(), OFlags::RDONLY, Mode::empty())?))?,
        "open-release-writer" => {
            time(|| Ok(openat(&directory, next(), OFlags::RDWR, Mode::empty())?))?
        }
        "create-unlink" => time(|| {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
            let file = openat(&work, "floor", flags, Mode::from_raw_mode(0o644))?;
            stat(&file)?;
            Ok(unlinkat(&work, "floor", AtFlags::empty())?)
        })?,
        "mkdir-rmdir" => time(|| {
            mkdirat(&work, "floor", Mode::from_raw_mode(0o755))?;
            let fd = openat(&work, "floor", OFlags::PATH, Mode::empty())?;
            stat(fd)?;
            Ok(unlinkat(&work, "floor", AtFlags::REMOVEDIR)?)
        })?,
        _ => return data(job, &share.join(BIG)),
    }))
}

fn data(job: &str, path: &Path) -> Result<Option<f64>> {
    let Some((size, random)) =
        [("4k-random", 4 << 10, true), ("128k", 128 << 10, false), ("1m", 1 << 20, false)]
            .into_iter()
            .find_map(|(name, size, random)| job.ends_with(name).then_some((size, random)))
    else {
        return Ok(None);
    };
    let file = File::options().read(true).write(true).open(path)?;
    let mut buffer = vec![0x5A; size];
    let mut position = 1u64;
    let mut offset = move || {
        let step = if random { 0x9E37_79B9 } else { 1 };
        position = position.wrapping_add(step);
        position % (BIG_SIZE / size as u64) * size as u64
    };
    Ok(Some(if job.starts_with("read") {
        time(|| Ok(pread(&file, &mut buffer[..], offset())?))?
    } else {
        time(|| Ok(pwrite(&file, &buffer, offset())?))?
    }))
}

fn time<T>(mut turn: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let begun = Instant::now();
        for _ in 0..TURNS {
            turn()?;
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(TURNS));
    }
    Ok(best)
}

fn stat(fd: impl AsFd) -> Result<()> {
    statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    Ok(())
}

fn path_fd(path: &Path) -> Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?)
}
