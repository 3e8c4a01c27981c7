//! Options with a choice of words, and what the words stand for.

use clap::ValueEnum;
use coherence::watch::Mode;

use crate::migration;
use crate::passthrough::{self, CachePolicy, InodeFileHandles};
use crate::sandbox::{self, Seccomp};

/// `--cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CacheMode {
    /// Names and attributes for a second, file contents until the file is opened again
    Auto,
    /// All of it, for a day: for directories that nobody else changes
    Always,
    /// Nothing
    Never,
    /// Names, attributes and listings for a day, file contents never
    Metadata,
}

impl From<CacheMode> for CachePolicy {
    fn from(mode: CacheMode) -> Self {
        match mode {
            CacheMode::Auto => Self::Auto,
            CacheMode::Always => Self::Always,
            CacheMode::Never => Self::Never,
            CacheMode::Metadata => Self::Metadata,
        }
    }
}

/// `--watch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WatchMode {
    /// The best that the privileges allow
    Auto,
    /// Whole file systems
    Fanotify,
    /// Each inode that the guest knows
    Inotify,
    /// Not at all
    Off,
}

impl From<WatchMode> for Mode {
    fn from(mode: WatchMode) -> Self {
        match mode {
            WatchMode::Auto => Self::Auto,
            WatchMode::Fanotify => Self::Fanotify,
            WatchMode::Inotify => Self::Inotify,
            WatchMode::Off => Self::Off,
        }
    }
}

/// `--migration-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MigrationMode {
    /// By their paths below the shared directory
    FindPaths,
    /// By file handle
    FileHandles,
}

impl From<MigrationMode> for migration::Mode {
    fn from(mode: MigrationMode) -> Self {
        match mode {
            MigrationMode::FindPaths => Self::Paths,
            MigrationMode::FileHandles => Self::Handles,
        }
    }
}

/// `--migration-on-error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MigrationOnError {
    /// It fails, and the guest goes on where it was
    Abort,
    /// The guest gets ESTALE for that file
    GuestError,
}

impl From<MigrationOnError> for migration::OnError {
    fn from(on_error: MigrationOnError) -> Self {
        match on_error {
            MigrationOnError::Abort => Self::Abort,
            MigrationOnError::GuestError => Self::GuestError,
        }
    }
}

/// `--sandbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SandboxMode {
    /// The shared directory, which is the root of namespaces of its own (mount, pid, network, IPC, user)
    Namespace,
    /// The shared directory, which is the root; for containers, where namespaces cannot be made
    Chroot,
    /// Whatever its user can
    None,
}

impl From<SandboxMode> for sandbox::Mode {
    fn from(mode: SandboxMode) -> Self {
        match mode {
            SandboxMode::Namespace => Self::Namespace,
            SandboxMode::Chroot => Self::Chroot,
            SandboxMode::None => Self::None,
        }
    }
}

/// `--seccomp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SeccompAction {
    /// They end the process
    Kill,
    /// They are made, and logged by the kernel's audit
    Log,
    /// They end the process by a SIGSYS that a debugger can catch
    Trap,
    /// They are made
    None,
}

impl From<SeccompAction> for Seccomp {
    fn from(action: SeccompAction) -> Self {
        match action {
            SeccompAction::Kill => Self::Kill,
            SeccompAction::Log => Self::Log,
            SeccompAction::Trap => Self::Trap,
            SeccompAction::None => Self::None,
        }
    }
}

/// `--posix-acl` and `--security-label`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Negotiation {
    /// Not offered
    Never,
    /// If the guest has it
    Auto,
    /// A guest without it cannot mount
    Always,
}

impl From<Negotiation> for passthrough::Negotiation {
    fn from(negotiation: Negotiation) -> Self {
        match negotiation {
            Negotiation::Never => Self::Never,
            Negotiation::Auto => Self::Auto,
            Negotiation::Always => Self::Always,
        }
    }
}

/// `--inode-file-handles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileHandles {
    /// By open descriptor
    Never,
    /// By file handle where the file system and the daemon's rights allow it, else by open descriptor
    #[value(alias = "fallback")]
    Prefer,
    /// By file handle or not at all
    Mandatory,
}

impl From<FileHandles> for InodeFileHandles {
    fn from(handles: FileHandles) -> Self {
        match handles {
            FileHandles::Never => Self::Never,
            FileHandles::Prefer => Self::Prefer,
            FileHandles::Mandatory => Self::Mandatory,
        }
    }
}
