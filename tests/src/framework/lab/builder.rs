//! What a lab shall be, and setting it up.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Guest, Lab, Plan};
use crate::framework::artifact::{Kernel, Qemu, kernel, tools};
use crate::framework::cargo;
use crate::framework::cleanup::Scratch;
use crate::framework::daemon::{Daemon, Program, Spec};
use crate::framework::guest::initramfs;
use crate::framework::paths;
use crate::framework::vm::{Accel, Machine, Share};

/// Where a guest finds the shared directory.
pub const MOUNT_POINT: &str = "/mnt";
/// The tag that it is mounted by.
pub const SHARE_TAG: &str = "share";
/// The tag of the host's root, when that is the guest's root too.
const ROOT_TAG: &str = "root";

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
    guests: usize,
    kernel: String,
    share: Option<PathBuf>,
    program: Option<Program>,
    cache: Option<String>,
    daemon_arguments: Vec<OsString>,
    echo_daemon: bool,
    root: Root,
    cpus: u32,
    memory_mib: u32,
    queues: u32,
    mount_options: Option<String>,
    kernel_words: Vec<String>,
    qemu_arguments: Vec<OsString>,
    programs: Vec<(PathBuf, String)>,
    logs: Option<PathBuf>,
    command_limit: Duration,
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

    /// Fetch and build what is missing, start the daemons, boot the guests side by side, and mount
    /// the share in each.
    ///
    /// The calling thread must live as long as the lab.
    ///
    /// # Errors
    /// Something cannot be fetched, built or started.
    pub fn boot(self) -> Result<Lab> {
        ensure!(self.guests > 0, "a lab without guests is none");
        let scratch = Scratch::new()?;
        let (share, own_share) = self.shared_directory()?;
        let logs = self.log_directory()?;
        let plan = self.plan(&share, scratch.path())?;
        let mut guests = Vec::new();
        for number in 0..self.guests {
            let mut guest = self.guest(number, &plan, scratch.path(), &logs)?;
            guest.launch(&plan, &logs)?;
            guests.push(guest);
        }
        for guest in &mut guests {
            guest.wait_until_mounted(&plan)?;
        }
        Ok(Lab { guests, share, logs, plan, _scratch: scratch, _own_share: own_share })
    }

    fn shared_directory(&self) -> Result<(PathBuf, Option<Scratch>)> {
        if let Some(share) = &self.share {
            let problem = || format!("cannot share {}", share.display());
            let share = share.canonicalize().with_context(problem)?;
            ensure!(share.is_dir(), "cannot share {}: it is no directory", share.display());
            return Ok((share, None));
        }
        let own = Scratch::new_in(&paths::rig().join("shares"))?;
        // Not only root may use the share.
        fs::set_permissions(own.path(), Permissions::from_mode(0o755))?;
        Ok((own.path().to_path_buf(), Some(own)))
    }

    fn log_directory(&self) -> Result<PathBuf> {
        let logs = self.logs.clone().unwrap_or_else(|| {
            let name = thread::current().name().unwrap_or("unnamed").replace("::", "/");
            paths::logs().join(name)
        });
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(logs)
    }

    fn plan(&self, share: &Path, scratch: &Path) -> Result<Plan> {
        let qemu = Qemu::obtain()?;
        let kernel = Kernel::obtain(&self.kernel)?;
        let path = scratch.join("initramfs");
        let contents = initramfs::Contents {
            kernel: &kernel,
            agent: &cargo::guest_agent()?,
            busybox: &tools::busybox()?,
            programs: &self.programs,
        };
        initramfs::write(&contents, &path)?;
        let machine = Machine {
            kernel: kernel.image,
            initramfs: path,
            kernel_words: self.kernel_words.clone(),
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            shares: Vec::new(),
            qemu_arguments: self.qemu_arguments.clone(),
        };
        let accel = Accel::choose(&qemu, &machine)?;
        let daemon = Spec {
            program: self.chosen_program()?,
            share: share.to_path_buf(),
            tag: SHARE_TAG.into(),
            cache: self.cache.clone(),
            arguments: self.daemon_arguments.clone(),
            echo: self.echo_daemon,
        };
        let boot_limit = Duration::from_mins(3);
        let (mount_options, command_limit) = (self.mount_options.clone(), self.command_limit);
        Ok(Plan { qemu, accel, machine, daemon, mount_options, boot_limit, command_limit })
    }

    fn chosen_program(&self) -> Result<Program> {
        match (&self.program, env::var_os("SAMEPAGE_DAEMON")) {
            (Some(program), _) => Ok(program.clone()),
            (None, Some(text)) => Program::parse(&text),
            (None, None) => Ok(Program::Samepaged),
        }
    }

    /// A guest with its daemons running, itself not yet launched.
    fn guest(&self, number: usize, plan: &Plan, scratch: &Path, logs: &Path) -> Result<Guest> {
        let start = |name: &str, spec: &Spec| {
            let stem = name.replace(' ', "-");
            let socket = scratch.join(format!("{stem}.sock"));
            Daemon::start(name, spec, &socket, &logs.join(format!("{stem}.log")))
        };
        let mut machine = plan.machine.clone();
        let daemon = start(&format!("daemon {number}"), &plan.daemon)?;
        let mut attach = |tag: &str, daemon: &Daemon, queues| {
            let socket = daemon.socket().to_path_buf();
            machine.shares.push(Share { tag: tag.into(), socket, queues });
        };
        attach(SHARE_TAG, &daemon, self.queues);
        let root_daemon = match self.root {
            Root::Tiny => None,
            Root::Host => {
                let daemon = start(&format!("root daemon {number}"), &root_spec())?;
                attach(ROOT_TAG, &daemon, 1);
                machine.kernel_words.push("samepage.root=host".into());
                Some(daemon)
            }
        };
        let name = format!("guest {number}");
        let command_limit = plan.command_limit;
        Ok(Guest { vm: None, daemon, _root_daemon: root_daemon, machine, name, command_limit })
    }
}

/// The host's root is served by our own daemon, whatever serves the share.
fn root_spec() -> Spec {
    Spec {
        program: Program::Samepaged,
        share: "/".into(),
        tag: ROOT_TAG.into(),
        cache: Some("always".into()),
        // overlayfs refuses a lower layer with mount points of its own.
        arguments: vec!["--readonly".into(), "--no-announce-submounts".into()],
        echo: false,
    }
}
