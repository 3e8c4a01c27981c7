//! The process outside: it makes what has a path, and removes it again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use coherence::watch;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::ids::IdMaps;
use super::link::{Answer, Asked, Link, Outsider, Question};
use super::seccomp::supervising;
use super::{SandboxError, Seccomp, failed};
use crate::mappings::Mappings;

/// What the process outside has to do for the one inside.
pub trait Outside {
    /// Makes the sockets that the daemon listens on.
    ///
    /// # Errors
    /// The inside is ended then, and this error is the daemon's.
    fn sockets(&mut self) -> Result<Vec<OwnedFd>, crate::error::StartError>;
}

/// How the serving process ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself. It has said why, where there was something to say.
    Status(u8),
    /// By a signal.
    Killed(i32),
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Status(status) => Self::from(status),
            // As shells have it.
            Ended::Killed(signal) => Self::from(128u8.wrapping_add(signal as u8)),
        }
    }
}

/// The process outside.
#[derive(Debug)]
pub struct Supervisor {
    child: Pid,
    link: Link,
    signals: Held,
    seccomp: Seccomp,
    /// Signals that end the daemon are passed on from here on; before, they end it at once.
    serving: bool,
    /// Who has connected last, and what that has mapped.
    peer: Option<(Outsider, io::Result<Mappings>)>,
}

/// Signals that wait to be read.
#[derive(Debug)]
pub(super) struct Held {
    before: SigSet,
    fd: SignalFd,
}

/// From here on the signals that end the daemon wait, and so does the news that a child has ended.
pub(super) fn hold_signals() -> io::Result<Held> {
    let signals: SigSet =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect();
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&signals), Some(&mut before))?;
    let fd = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    Ok(Held { before, fd })
}

impl Held {
    /// For the process inside: it is ended by orders. Signals that its whole group gets would come twice.
    pub(super) fn release(self) -> io::Result<()> {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            ignore(signal)?;
        }
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None)?;
        Ok(())
    }
}

fn ignore(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code.
    let previous = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

impl Supervisor {
    pub(super) fn new(child: Pid, link: Link, signals: Held, seccomp: Seccomp) -> Self {
        Self { child, link, signals, seccomp, serving: false, peer: None }
    }

    /// Waits until the child has made its user namespace, and maps its ids.
    pub(super) fn map_ids(self, maps: &IdMaps) -> Result<Self, SandboxError> {
        let question = self.link.question().map_err(failed("id maps"))?;
        if !question.is_some_and(|question| question.asked == Some(Asked::MapIds)) {
            // It has said why.
            self.end_child();
            std::process::exit(1);
        }
        maps.apply(self.child).inspect_err(|_| self.end_child())?;
        self.link.answer(Ok(Answer::default())).map_err(failed("id maps"))?;
        Ok(self)
    }

    /// Does what the child asks for until it ends. `looks`: at what VMMs have mapped, too.
    ///
    /// # Errors
    /// Where the sockets cannot be made, or the kernel has no filters.
    pub fn attend(
        mut self,
        outside: &mut dyn Outside,
        looks: bool,
    ) -> Result<Ended, crate::error::StartError> {
        // Whatever is left to do needs no more.
        let _ = rustix::thread::set_no_new_privs(true);
        let questions = self.link.questions().map_err(failed("link"))?;
        let mut asking = true;
        loop {
            let mut fds = vec![PollFd::new(&self.signals.fd, PollFlags::IN)];
            if asking {
                fds.push(PollFd::from_borrowed_fd(questions.as_fd(), PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed("poll")(error.into()).into()),
            }
            let asked = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            if asked {
                asking = self.attend_question(outside, looks).inspect_err(|_| self.end_child())?;
            }
            if let Some(ended) =
                self.attend_signals().map_err(|errno| failed("signals")(errno.into()))?
            {
                return Ok(ended);
            }
        }
    }

    /// False: there are no more questions.
    fn attend_question(
        &mut self,
        outside: &mut dyn Outside,
        looks: bool,
    ) -> Result<bool, crate::error::StartError> {
        let Ok(Some(Question { asked, fds, about, from })) = self.link.question() else {
            return Ok(false);
        };
        let only = |fds| Answer { fds, ..Answer::default() };
        let answer = match asked {
            Some(Asked::Sockets) if !self.serving => {
                let sockets = outside.sockets()?;
                self.serving = true;
                keep_only_what_is_needed(looks);
                supervising::filter(self.seccomp, self.child).map_err(SandboxError::Seccomp)?;
                return Ok(self.link.answer(Ok(only(sockets))).is_ok());
            }
            Some(Asked::Group) => watch::new_group().map(|group| only(vec![group])),
            Some(Asked::Mark) => match &fds[..] {
                [group, file] => {
                    watch::mark(group.as_fd(), file.as_fd()).map(|()| Answer::default())
                }
                _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            },
            Some(Asked::Peer) => match &fds[..] {
                [socket] => peer(socket.as_fd()).inspect(|answer| {
                    self.peer = looks.then(|| (answer.process, Mappings::of(answer.process.pid)));
                }),
                _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            },
            Some(Asked::Reaches) => self.reaches(about, &fds, from),
            Some(Asked::Ended) if has_ended(about) => Ok(Answer::default()),
            Some(Asked::Ended) => Err(io::Error::from_raw_os_error(libc::EBUSY)),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        };
        Ok(self.link.answer(answer).is_ok())
    }

    /// Whether the process that has connected last has a file mapped; with no file, whether that can be told.
    fn reaches(&self, about: Outsider, fds: &[OwnedFd], from: u64) -> io::Result<Answer> {
        let errno = io::Error::from_raw_os_error;
        let peer = self.peer.as_ref().filter(|(process, _)| *process == about);
        let (_, maps) = peer.ok_or_else(|| errno(libc::ESRCH))?;
        let maps =
            maps.as_ref().map_err(|error| errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let mapped = fds.first().map_or(Ok(false), |file| maps.reach(file.as_fd(), from))?;
        if mapped { Err(errno(libc::EBUSY)) } else { Ok(Answer::default()) }
    }

    fn attend_signals(&mut self) -> nix::Result<Option<Ended>> {
        while let Some(signal) = self.signals.fd.read_signal()? {
            if signal.ssi_signo == libc::SIGCHLD as u32 {
                if let Some(ended) = ended(self.child)? {
                    return Ok(Some(ended));
                }
            } else if self.serving {
                // Should it have ended, SIGCHLD is on its way.
                let _ = self.link.order_to_stop();
            } else {
                self.end_child();
                return Ok(Some(Ended::Status(1)));
            }
        }
        Ok(None)
    }

    fn end_child(&self) {
        let _ = kill(self.child, Signal::SIGKILL);
        let _ = waitpid(self.child, None);
    }
}

/// The rights to remove the sockets, to watch file systems, and to look at processes.
fn keep_only_what_is_needed(looks: bool) {
    let mut keep = CapabilitySet::SYS_ADMIN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::KILL;
    keep.set(CapabilitySet::SYS_PTRACE, looks);
    let Ok(held) = rustix::thread::capabilities(None) else { return };
    let sets = CapabilitySets {
        effective: held.effective & keep,
        permitted: held.permitted & keep,
        inheritable: CapabilitySet::empty(),
    };
    let _ = rustix::thread::set_capabilities(None, sets);
}

/// The process at the other end of a socket.
fn peer(socket: BorrowedFd<'_>) -> io::Result<Answer> {
    let gone = || io::Error::from_raw_os_error(libc::ESRCH);
    let process = rustix::net::sockopt::socket_peercred(socket)?.pid;
    let pid = process.as_raw_nonzero().get();
    let pidfd = pidfd_open(process, PidfdFlags::empty())?;
    // Should the process have ended since it connected, and another have its pid: that one is taken for the VMM, and
    // nothing of the VMM is left that anybody could wait for.
    let started = coherence::started_at(pid).ok_or_else(gone)?;
    Ok(Answer { fds: vec![pidfd], process: Outsider { pid, started } })
}

fn has_ended(Outsider { pid, started }: Outsider) -> bool {
    coherence::started_at(pid) != Some(started)
}

fn ended(child: Pid) -> nix::Result<Option<Ended>> {
    match waitpid(child, Some(nix::sys::wait::WaitPidFlag::WNOHANG))? {
        WaitStatus::Exited(_, status) => Ok(Some(Ended::Status(status as u8))),
        WaitStatus::Signaled(_, signal, _) => {
            tracing::error!("the serving process was ended by {signal}");
            Ok(Some(Ended::Killed(signal as i32)))
        }
        _ => Ok(None),
    }
}

/// Ends as `child` does, and with it: for a process that is only there because the first process of a pid namespace must
/// have been forked.
pub(super) fn mirror(child: Pid) -> ! {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, status)) => std::process::exit(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                // As the child: whoever waits for this process sees the same.
                let _ = nix::sys::signal::raise(signal);
                std::process::exit(128 + signal as i32);
            }
            Err(nix::errno::Errno::EINTR) | Ok(_) => {}
            Err(_) => std::process::exit(1),
        }
    }
}
