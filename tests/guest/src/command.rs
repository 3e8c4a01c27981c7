//! One command of the host's: started, listened to, and followed to its end.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use samepage_guest::protocol::{FromGuest, Run};

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    ended: OwnedFd,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Running {
    /// Start it, in a process group of its own.
    pub(crate) fn start(run: &Run) -> io::Result<Self> {
        let name = run.argv.first().ok_or(ErrorKind::InvalidInput)?;
        let mut command = Command::new(OsStr::from_bytes(name));
        command.args(run.argv.iter().skip(1).map(|argument| OsStr::from_bytes(argument)));
        for (variable, value) in &run.env {
            command.env(OsStr::from_bytes(variable), OsStr::from_bytes(value));
        }
        let directory: &[u8] = if run.directory.is_empty() { b"/" } else { &run.directory };
        command.current_dir(OsStr::from_bytes(directory)).process_group(0);
        command.stdin(if run.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", String::from_utf8_lossy(name)))
        })?;
        feed(&mut child, run.stdin.clone());
        let pid = Pid::from_child(&child);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        for pipe in stdout.iter().map(AsFd::as_fd).chain(stderr.iter().map(AsFd::as_fd)) {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { child, pid, ended, stdout, stderr })
    }

    /// The process, which leads the group.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Report all output until the program itself has ended: what it left running in the
    /// background may keep the pipes open, and is not waited for.
    pub(crate) fn follow(mut self, report: &impl Fn(FromGuest)) -> io::Result<i32> {
        loop {
            let ended = self.wait_for_something()?;
            drain(&mut self.stdout, FromGuest::Stdout, report);
            drain(&mut self.stderr, FromGuest::Stderr, report);
            if ended {
                let status = self.child.wait()?;
                return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
            }
        }
    }

    /// Sleep until there is output, or the program has ended: then `true`.
    fn wait_for_something(&self) -> io::Result<bool> {
        let mut watched = vec![PollFd::new(&self.ended, PollFlags::IN)];
        watched.extend(self.stdout.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        watched.extend(self.stderr.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        loop {
            match poll(&mut watched, None) {
                Ok(_) => return Ok(!watched[0].revents().is_empty()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Write what the program shall read, while it runs.
fn feed(child: &mut Child, bytes: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not want it all is no error.
        thread::spawn(move || drop(stdin.write_all(&bytes)));
    }
}

/// Report everything that is in the pipe now. At its end the pipe becomes `None`.
fn drain<P: Read>(
    pipe: &mut Option<P>,
    wrap: fn(Vec<u8>) -> FromGuest,
    report: &impl Fn(FromGuest),
) {
    let mut buffer = vec![0; 32 << 10];
    while let Some(reader) = pipe {
        match reader.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(length) => report(wrap(buffer[..length].to_vec())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => *pipe = None,
        }
    }
}
