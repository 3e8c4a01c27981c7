//! What a lab shall be.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::framework::artifact::kernel;
use crate::framework::daemon::{Program, Table};
use crate::framework::vm::Share;

/// Where a guest finds the shared directory.
pub const MOUNT_POINT: &str = "/mnt";
/// The tag that it is mounted by.
pub const SHARE_TAG: &str = "share";
/// The tag of the host's root, when that is the guest's root too.
pub(super) const ROOT_TAG: &str = "root";

/// A guest's root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// busybox in memory: up in no time.
    Tiny,
    /// The host's root, read-only, below a scratch layer in memory: every program of the host runs.
    Host,
}

/// What a lab shall be. The defaults suit a test: one guest with the default kernel, our own
/// daemon, a new empty directory.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) guests: usize,
    pub(super) kernel: String,
    pub(super) share: Option<PathBuf>,
    pub(super) program: Option<Program>,
    pub(super) cache: Option<String>,
    pub(super) daemon_arguments: Vec<OsString>,
    pub(super) echo_daemon: bool,
    pub(super) root: Root,
    pub(super) cpus: u32,
    pub(super) memory_mib: u32,
    pub(super) queues: u32,
    pub(super) mount_options: Option<String>,
    pub(super) kernel_words: Vec<String>,
    pub(super) qemu_arguments: Vec<OsString>,
    pub(super) programs: Vec<(PathBuf, String)>,
    pub(super) logs: Option<PathBuf>,
    pub(super) command_limit: Duration,
    pub(super) coherent: bool,
    pub(super) table_region: bool,
    pub(super) dax: bool,
    pub(super) stock_guests: usize,
    pub(super) shared_memory: Option<u64>,
    pub(super) module_fault: Option<String>,
    pub(super) table: Option<Table>,
    pub(super) auto_table: bool,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) user: Option<u32>,
    pub(super) more_shares: Vec<Share>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            guests: 1,
            kernel: kernel::DEFAULT.into(),
            share: None,
            program: None,
            cache: None,
            daemon_arguments: Vec::new(),
            echo_daemon: false,
            root: Root::Tiny,
            cpus: 1,
            memory_mib: 512,
            queues: 1,
            mount_options: None,
            kernel_words: Vec::new(),
            qemu_arguments: Vec::new(),
            programs: Vec::new(),
            logs: None,
            command_limit: Duration::from_mins(2),
            coherent: false,
            table_region: false,
            dax: false,
            stock_guests: 0,
            shared_memory: None,
            module_fault: None,
            table: None,
            auto_table: false,
            environment: Vec::new(),
            user: None,
            more_shares: Vec::new(),
        }
    }
}

impl Builder {
    /// How many guests.
    #[must_use]
    pub fn guests(mut self, count: usize) -> Self {
        self.guests = count;
        self
    }

    /// The kernel's series, or the path of an image.
    #[must_use]
    pub fn kernel(mut self, name: impl Into<String>) -> Self {
        self.kernel = name.into();
        self
    }

    /// Share this directory rather than a new empty one.
    #[must_use]
    pub fn share(mut self, directory: impl Into<PathBuf>) -> Self {
        self.share = Some(directory.into());
        self
    }

    /// Use this daemon rather than the one that `SAMEPAGE_DAEMON` names, or ours.
    #[must_use]
    pub fn daemon(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// The daemon's `--cache`.
    #[must_use]
    pub fn cache(mut self, mode: impl Into<String>) -> Self {
        self.cache = Some(mode.into());
        self
    }

    /// More arguments for the daemon.
    #[must_use]
    pub fn daemon_args<S: Into<OsString>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.daemon_arguments.extend(words.into_iter().map(Into::into));
        self
    }

    /// Repeat the daemons' logs on our standard error.
    #[must_use]
    pub fn echo_daemon(mut self, echo: bool) -> Self {
        self.echo_daemon = echo;
        self
    }

    /// The guests' root file system.
    #[must_use]
    pub fn root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// Processors of each guest.
    #[must_use]
    pub fn cpus(mut self, count: u32) -> Self {
        self.cpus = count;
        self
    }

    /// Memory of each guest, in MiB.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Request queues of the share.
    #[must_use]
    pub fn queues(mut self, count: u32) -> Self {
        self.queues = count;
        self
    }

    /// Options for the guests' mount of the share.
    #[must_use]
    pub fn mount_options(mut self, options: impl Into<String>) -> Self {
        self.mount_options = Some(options.into());
        self
    }

    /// More words for the kernels' command line.
    #[must_use]
    pub fn kernel_args<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.kernel_words.extend(words.into_iter().map(Into::into));
        self
    }

    /// More arguments for QEMU.
    #[must_use]
    pub fn qemu_args<S: Into<OsString>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.qemu_arguments.extend(words.into_iter().map(Into::into));
        self
    }

    /// Put a statically linked program of the host's into a tiny root, at this absolute path.
    #[must_use]
    pub fn program(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.programs.push((host.into(), guest.into()));
        self
    }

    /// Where logs go, rather than to a directory named after the thread, which in a test is the
    /// test's name.
    #[must_use]
    pub fn logs(mut self, directory: impl Into<PathBuf>) -> Self {
        self.logs = Some(directory.into());
        self
    }

    /// How long one command may take.
    #[must_use]
    pub fn command_limit(mut self, limit: Duration) -> Self {
        self.command_limit = limit;
        self
    }

    /// Give the share a version table, and the guests the driver that checks it: they mount the
    /// share with `mount -t samepage`. The table is a file of the lab's own in `/dev/shm`; every
    /// guest's daemon feeds it.
    #[must_use]
    pub fn coherent(mut self) -> Self {
        self.coherent = true;
        self
    }

    /// Show the table to the guests as a shared memory region of the device, not as a device of its
    /// own.
    #[must_use]
    pub fn table_region(mut self) -> Self {
        self.table_region = true;
        let queues = self.queues.to_string();
        self.daemon_args(["--table-region", "--num-request-queues", &queues])
    }

    /// Give the guests a DAX window of this size (`64M`), and mount the share with `-o dax=` this.
    #[must_use]
    pub fn dax(mut self, window: &str, mount: &str) -> Self {
        self.dax = true;
        let queues = self.queues.to_string();
        self.mount_options(format!("dax={mount}")).daemon_args([
            "--dax-window",
            window,
            "--num-request-queues",
            &queues,
        ])
    }

    /// In a coherent lab, let the last `count` guests be stock ones, which know nothing of the
    /// table. Their daemons feed it all the same.
    #[must_use]
    pub fn stock_guests(mut self, count: usize) -> Self {
        self.stock_guests = count;
        self
    }

    /// Let a coherent lab use this version table, which is the caller's, rather than one of its own.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.table = Some(table);
        self
    }

    /// In a coherent lab, let the daemons find their table by themselves, as they do where nobody
    /// names one (`--version-table auto`).
    #[must_use]
    pub fn auto_table(mut self) -> Self {
        self.auto_table = true;
        self
    }

    /// Give the guests a coherent lab's driver with this part of the protocol left out.
    #[must_use]
    pub fn module_fault(mut self, name: impl Into<String>) -> Self {
        self.module_fault = Some(name.into());
        self
    }

    /// Give the share daemons of ours that break this rule of the protocol.
    #[must_use]
    pub fn daemon_fault(self, name: &str) -> Self {
        self.daemon(Program::Faulty).daemon_env("SAMEPAGE_FAULT", name)
    }

    /// Give the guest another share, which the caller's own daemon serves, and the caller mounts. A
    /// daemon serves one guest.
    #[must_use]
    pub fn attach(mut self, share: Share) -> Self {
        self.more_shares.push(share);
        self
    }

    /// Let all guests and the host share this much memory, which all may write to: a file of the
    /// host's ([`Lab::shared_memory`]), in guests BAR 2 of an ivshmem device. In bytes, a power of
    /// two.
    #[must_use]
    pub fn shared_memory(mut self, size: u64) -> Self {
        self.shared_memory = Some(size);
        self
    }

    /// Add a variable to the environment of the share's daemons.
    #[must_use]
    pub fn daemon_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Let the share's daemons run as this user and the group of the same number, without any rights. The lab's own share,
    /// sockets and table belong to it.
    #[must_use]
    pub fn daemon_user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }
}
