//! A virtual machine: QEMU, its console's log, and the agent inside.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

pub mod accel;
pub mod machine;
pub mod monitor;

pub use accel::Accel;
pub use machine::{Machine, Region, Share};
pub use monitor::Monitor;

use super::artifact::Qemu;
use super::cleanup::Scratch;
use super::guest::{Command, Output, Running, Session};
use super::process::Process;

/// How much of the kernel's log an error shows.
const SHOWN_LINES: usize = 12;
const POWER_OFF_LIMIT: Duration = Duration::from_secs(30);

/// A machine that runs. It is killed when the value is dropped.
#[derive(Debug)]
pub struct Vm {
    process: Process,
    session: Session,
    monitor: PathBuf,
    _place: Scratch,
    kernel_log: PathBuf,
    qemu_log: PathBuf,
}

impl Vm {
    /// Start a machine and return at once. Its logs go to `logs`, in files called after `name`.
    ///
    /// The calling thread must live as long as the machine is wanted.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn launch(
        name: &str,
        qemu: &Qemu,
        machine: &Machine,
        accel: Accel,
        logs: &Path,
    ) -> Result<Self> {
        let stem = name.replace(' ', "-");
        let kernel_log = logs.join(format!("{stem}.kernel.log"));
        let qemu_log = logs.join(format!("{stem}.qemu.log"));
        let problem = || format!("cannot write {}", qemu_log.display());
        let log = File::create(&qemu_log).with_context(problem)?;
        let (ours, theirs) = UnixStream::pair()?;
        let place = Scratch::new()?;
        let monitor = place.path().join("monitor");
        let mut command = qemu.command();
        command
            .args(machine.arguments(accel, &kernel_log))
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", monitor.display()))
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .stderr(log);
        let process = Process::spawn(name, &mut command)?;
        // The command holds copies of their end: while one is open here, we would not see QEMU go.
        drop(command);
        let session = Session::new(ours)?;
        Ok(Self { process, session, monitor, _place: place, kernel_log, qemu_log })
    }

    /// Wait until the agent is up, and learn the kernel's release.
    ///
    /// # Errors
    /// The machine ended, or `deadline` passed; the message shows the end of the kernel's log.
    pub fn wait_until_up(&mut self, deadline: Instant) -> Result<String> {
        self.session.wait_for_hello(deadline).map_err(|error| self.explain(&error))
    }

    /// Start a command in the guest.
    ///
    /// # Errors
    /// The machine has ended; the message shows the end of the kernel's log.
    pub fn start(&self, command: Command) -> Result<Running> {
        self.session.start(command).map_err(|error| self.explain(&error))
    }

    /// Run a command in the guest to its end.
    ///
    /// # Errors
    /// The machine ended, or `deadline` passed. That the command's status is not 0 is no error.
    pub fn run(&self, command: Command, deadline: Instant) -> Result<Output> {
        self.start(command)?.wait(deadline).map_err(|error| self.explain(&error))
    }

    /// The guest has come here from `other`, and goes on: its agent says hello no second time.
    pub fn goes_on_after(&self, other: &Self) {
        self.session.goes_on_after(&other.session);
    }

    /// The socket of QEMU's monitor.
    #[must_use]
    pub fn monitor(&self) -> &Path {
        &self.monitor
    }

    /// The kernel's log, on the host.
    #[must_use]
    pub fn kernel_log(&self) -> &Path {
        &self.kernel_log
    }

    /// QEMU's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Let the guest unmount and switch off, and wait for QEMU's end.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn power_off(mut self) -> Result<()> {
        self.session.power_off().map_err(|error| self.explain(&error))?;
        let ended = self.process.wait_until(Instant::now() + POWER_OFF_LIMIT)?;
        ended.map(drop).ok_or_else(|| self.explain(&anyhow!("the guest does not switch off")))
    }

    /// An error about this machine, with what its logs say.
    #[must_use]
    pub fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let mut text = format!("{}: {error:#}", self.process.name());
        for (what, path) in [("QEMU said", &self.qemu_log), ("its kernel log", &self.kernel_log)] {
            let tail = tail(path);
            if !tail.is_empty() {
                let _ = write!(text, "\n{what} ({}):\n{tail}", path.display());
            }
        }
        anyhow!(text)
    }
}

/// The last lines of a log, indented.
fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    let indented: Vec<_> = shown.iter().map(|line| format!("    {}", line.trim_end())).collect();
    indented.join("\n")
}
