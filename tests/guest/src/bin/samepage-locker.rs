//! Locks a file, step by step, and says what came of each step.
//!
//! `samepage-locker posix|ofd|flock FILE STEP…`, where a step is one of
//! `read:START:LEN`, `write:START:LEN` (a length of 0 has no end), `unlock:START:LEN`: without waiting;
//! `wait-read:START:LEN`, `wait-write:START:LEN`: as long as it takes;
//! `close`: opens the file once more, and closes that; `close-read`: the same, but only to read it;
//! `hold-until:FILE`: waits for a POSIX lock of all of another file, and gives it back;
//! `hold`: sleeps until a signal comes.
//! After each step a line says `STEP ok`, or `STEP` and the error's name. Of `flock` locks the bytes mean nothing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::FlockOperation;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samepage-locker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let [how, path, steps @ ..] = words else {
        bail!("usage: samepage-locker posix|ofd|flock FILE STEP…")
    };
    let open = || OpenOptions::new().read(true).write(true).open(path).context("cannot open FILE");
    let file = open()?;
    for step in steps {
        let result = match step.as_str() {
            step if step.starts_with("hold-until:") => {
                let gate = OpenOptions::new().write(true).open(&step["hold-until:".len()..])?;
                take("posix", &gate, "wait-write:0:0")?
            }
            "close" => open().map(|_| Ok(()))?,
            "close-read" => File::open(path).map(|_| Ok(()))?,
            "hold" => loop {
                std::thread::park();
            },
            _ => take(how, &file, step)?,
        };
        let result = result.map_or_else(|errno| format!("{errno:?}"), |()| "ok".to_owned());
        println!("{step} {result}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// One step: what the system said of it.
fn take(how: &str, file: &File, step: &str) -> Result<Result<(), Errno>> {
    let (waits, step) = match step.strip_prefix("wait-") {
        Some(step) => (true, step),
        None => (false, step),
    };
    let mut parts = step.split(':');
    let kind = parts.next().unwrap_or_default();
    let mut number =
        || -> Result<i64> { Ok(parts.next().context("START:LEN is missing")?.parse()?) };
    let (start, len) = (number()?, number()?);
    if how == "flock" {
        return whole(file, kind, waits);
    }
    let kind = match kind {
        "read" => nix::libc::F_RDLCK,
        "write" => nix::libc::F_WRLCK,
        "unlock" => nix::libc::F_UNLCK,
        _ => bail!("there is no step {step}"),
    };
    let lock = nix::libc::flock {
        l_type: kind as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    let argument = match (how, waits) {
        ("posix", false) => FcntlArg::F_SETLK(&lock),
        ("posix", true) => FcntlArg::F_SETLKW(&lock),
        ("ofd", false) => FcntlArg::F_OFD_SETLK(&lock),
        ("ofd", true) => FcntlArg::F_OFD_SETLKW(&lock),
        _ => bail!("there are no locks of the kind {how}"),
    };
    Ok(fcntl(file, argument).map(drop))
}

fn whole(file: &File, kind: &str, waits: bool) -> Result<Result<(), Errno>> {
    let operation = match (kind, waits) {
        ("read", false) => FlockOperation::NonBlockingLockShared,
        ("read", true) => FlockOperation::LockShared,
        ("write", false) => FlockOperation::NonBlockingLockExclusive,
        ("write", true) => FlockOperation::LockExclusive,
        ("unlock", _) => FlockOperation::Unlock,
        _ => bail!("there is no step {kind}"),
    };
    Ok(rustix::fs::flock(file, operation).map_err(|errno| Errno::from_raw(errno.raw_os_error())))
}
