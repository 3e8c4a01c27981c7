//! `--sandbox`: what the serving process can reach.
//!
//! ```text
//!  supervisor (outside)                       serving process (inside)
//!  ────────────────────                       ────────────────────────
//!  starts, locks the pid file, forks ───────▶ joins the version table
//!  makes the sockets               ◀─ asks ─  gets them as descriptors
//!  watches file systems (fanotify) ◀─ asks ─  makes the shared directory its root
//!  looks for VMMs' processes       ◀─ asks ─  learns who has connected, who has ended, and who has a file mapped
//!  waits; passes signals on        ─ stop ──▶ drops its rights, then starts threads and serves
//!  removes sockets and pid file    ◀─ ends ─
//! ```
//!
//! The supervisor never sees a guest's data. It takes descriptors with questions and never paths; see [`link`](self::link).
//! What is inside may ask whatever it likes: it learns of changes on file systems that it has descriptors of, which process
//! has connected to it, whether that has mapped a file that it has a descriptor of, and whether a pid is in use, and gets
//! no file.
//!
//! Each step is taken while there is one thread only: credentials, roots and filters are a thread's own in Linux.

mod ids;
mod inherited;
mod landlock;
mod link;
mod privileges;
mod root;
mod seccomp;
mod supervisor;
mod sys;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coherence::HostProcess;
use nix::sched::CloneFlags;
use nix::unistd::ForkResult;
use rustix::process::Signal;
use rustix::thread::CapabilitySet;
use thiserror::Error;

pub use ids::IdRange;
pub use inherited::Inherited;
pub use link::{Asked, Link, Outsider};
pub use privileges::ModCaps;
pub use seccomp::Seccomp;
pub use supervisor::{Ended, Outside, Supervisor};

use ids::IdMaps;

/// How the serving process is isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Mount, pid, network and IPC namespaces, and a user namespace where the daemon is not root; the shared directory is
    /// the root.
    #[default]
    Namespace,
    /// The shared directory is the root.
    Chroot,
    /// Not at all.
    None,
}

/// What the operator wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How.
    pub mode: Mode,
    /// User ids of the user namespace; none: the daemon's own, as it is.
    pub uid_map: Vec<IdRange>,
    /// Group ids of the user namespace; none: the daemon's own, as it is.
    pub gid_map: Vec<IdRange>,
    /// What becomes of unexpected system calls.
    pub seccomp: Seccomp,
    /// Capabilities to keep or to drop, other than usual.
    pub modcaps: ModCaps,
}

/// Why there is no sandbox. Each text names the remedy.
#[derive(Debug, Error)]
#[allow(missing_docs)] // The messages say it.
pub enum SandboxError {
    #[error(
        "--sandbox namespace: no namespaces ({0}); run as root or allow user namespaces, or in a container use \
         --sandbox chroot (which isolates less)"
    )]
    Namespaces(io::Error),
    #[error("--sandbox chroot: only root may do that; run as root or use --sandbox namespace")]
    ChrootUnprivileged,
    #[error(
        "--uid-map and --gid-map make a user namespace, which root has no need of; use --translate-uid and --translate-gid"
    )]
    MapsOfRoot,
    #[error(
        "--uid-map and --gid-map go with --sandbox namespace; leave them out, or use --translate-uid and --translate-gid"
    )]
    MapsElsewhere,
    #[error("{program}: {reason}; check {file}, or leave {option} out to serve as this user alone")]
    Map { option: &'static str, program: &'static str, file: &'static str, reason: String },
    #[error("--seccomp: {0}; use a kernel with CONFIG_SECCOMP_FILTER, or --seccomp none")]
    Seccomp(io::Error),
    #[error("--sandbox: {what}: {error}")]
    System { what: &'static str, error: io::Error },
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |error| SandboxError::System { what, error }
}

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Side {
    /// The one that started.
    Outside(Supervisor),
    /// The one that is to serve. It can still reach everything.
    Inside(Inside),
}

/// A serving process on its way in.
#[derive(Debug)]
pub struct Inside {
    mode: Mode,
    user_namespace: bool,
    /// Which process others know the daemon by.
    pub process: HostProcess,
    /// To the supervisor.
    pub link: Arc<Link>,
}

/// A serving process that can no longer reach anything but the shared directory.
#[derive(Debug)]
pub struct Enclosed {
    /// The shared directory, as it is called here.
    pub shared_dir: PathBuf,
    /// `/proc/self/mountinfo`, whose paths begin at the root.
    pub mounts: File,
    /// `/proc/self/fd`, which is also the working directory.
    pub proc_self_fd: OwnedFd,
}

impl Options {
    /// Finds out before anything is made whether this can be.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub fn check(&self) -> Result<(), SandboxError> {
        let root = rustix::process::geteuid().is_root();
        let maps = !self.uid_map.is_empty() || !self.gid_map.is_empty();
        match self.mode {
            Mode::Namespace if maps && root => Err(SandboxError::MapsOfRoot),
            Mode::Chroot | Mode::None if maps => Err(SandboxError::MapsElsewhere),
            Mode::Chroot if !can(CapabilitySet::SYS_CHROOT) => {
                Err(SandboxError::ChrootUnprivileged)
            }
            _ => Ok(()),
        }
    }
}

/// Makes the serving process, without what is `inherited`. To be called while there is one thread, and not with
/// [`Mode::None`].
///
/// # Errors
/// [`SandboxError`].
pub fn split(options: &Options, inherited: Inherited) -> Result<Side, SandboxError> {
    let process = HostProcess::own();
    let user_namespace = options.mode == Mode::Namespace && !rustix::process::geteuid().is_root();
    if options.mode == Mode::Namespace && !user_namespace {
        // For children only: this process stays where it is.
        unshare(CloneFlags::CLONE_NEWPID)?;
    }
    let (ours, theirs) = link::pair().map_err(failed("socket pair"))?;
    let signals = supervisor::hold_signals().map_err(failed("signals"))?;
    // The pid that newuidmap is told, once the child has its user namespace.
    let maps = user_namespace.then(|| IdMaps::new(options));
    match sys::fork().map_err(failed("fork"))? {
        ForkResult::Parent { child } => {
            drop(theirs);
            let supervisor = Supervisor::new(child, ours, signals, options.seccomp);
            match maps {
                Some(maps) => supervisor.map_ids(&maps).map(Side::Outside),
                None => Ok(Side::Outside(supervisor)),
            }
        }
        ForkResult::Child => {
            inherited.close();
            drop(ours);
            signals.release().map_err(failed("signals"))?;
            end_with_parent().map_err(failed("parent"))?;
            let link = Arc::new(theirs);
            if let Some(maps) = maps {
                enter_user_namespace(&link, &maps)?;
            }
            Ok(Side::Inside(Inside { mode: options.mode, user_namespace, process, link }))
        }
    }
}

/// Makes a user namespace and a pid namespace in it. The process that comes back is the first of the latter.
fn enter_user_namespace(link: &Link, maps: &IdMaps) -> Result<(), SandboxError> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)?;
    link.ask(Asked::MapIds, &[]).map_err(failed("id maps"))?;
    match sys::fork().map_err(failed("fork"))? {
        ForkResult::Parent { child } => supervisor::mirror(child),
        ForkResult::Child => {
            maps.become_inside().map_err(failed("user id"))?;
            // Another identity unsets this.
            end_with_parent().map_err(failed("parent"))
        }
    }
}

impl Inside {
    /// Makes the shared directory the root. Nothing else can be reached by any path from here on.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub fn enclose(&self, shared_dir: &Path, readonly: bool) -> Result<Enclosed, SandboxError> {
        let enclosed = match self.mode {
            Mode::Namespace => {
                unshare(
                    CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC,
                )?;
                root::pivot(shared_dir, readonly)
            }
            Mode::Chroot | Mode::None => root::chroot(shared_dir),
        }?;
        rustix::process::fchdir(&enclosed.proc_self_fd)
            .map_err(|error| SandboxError::System { what: "/proc/self/fd", error: error.into() })?;
        coherence::working_directory_is_proc_self_fd();
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| SandboxError::System { what: "no_new_privs", error: error.into() })?;
        Ok(enclosed)
    }

    /// Whether capabilities count in a user namespace of the daemon's own only.
    #[must_use]
    pub fn in_user_namespace(&self) -> bool {
        self.user_namespace
    }
}

/// What the serving process itself will do that takes a right.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    /// Open inodes by file handle.
    pub file_handles: bool,
    /// Mark file systems.
    pub marks: bool,
    /// Look what other processes have mapped.
    pub looks: bool,
}

/// Gives up every right that serving does not take. To be called when everything is open and before there are threads.
///
/// # Errors
/// [`SandboxError`].
pub fn drop_rights(options: &Options, takes: Takes) -> Result<(), SandboxError> {
    privileges::reduce(&options.modcaps, takes).map_err(failed("capabilities"))?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| SandboxError::System { what: "no_new_privs", error: error.into() })?;
    if options.mode != Mode::None {
        // Changing credentials may have unset it.
        end_with_parent().map_err(failed("parent"))?;
    }
    // A process that it confines looks at no other.
    if !takes.looks {
        landlock::confine();
    }
    seccomp::filter(options.seccomp).map_err(SandboxError::Seccomp)
}

/// Lets the kernel kill this process when its parent has ended, however that came.
fn end_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

fn unshare(flags: CloneFlags) -> Result<(), SandboxError> {
    nix::sched::unshare(flags).map_err(|errno| SandboxError::Namespaces(errno.into()))
}

fn can(capability: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// Keeps a descriptor borrowed from a guard apart from one that is owned.
fn borrow<T: AsFd>(fds: &[T]) -> Vec<std::os::fd::BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}
