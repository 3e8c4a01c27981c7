//! A shared directory, its daemons and its guests, ready to use.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use samepage_tests::framework::Lab;
//!
//! let lab = Lab::builder().guests(2).cache("auto").boot()?;
//! lab[0].sh("echo hello > /mnt/greeting")?.ok()?;
//! assert_eq!(lab[1].sh("cat /mnt/greeting")?.ok()?.text(), "hello\n");
//! # Ok(())
//! # }
//! ```

use std::ops::{Index, IndexMut};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

mod builder;
mod moving;
mod setup;

pub use builder::{Builder, MOUNT_POINT, Root, SHARE_TAG};

use super::artifact::Qemu;
use super::cleanup::Scratch;
use super::daemon::{Counters, Daemon, Spec, Table};
use super::guest::{Command, Output, Running};
use super::vm::{Accel, Machine, Vm};

/// The whole set-up. Dropping it ends every guest and daemon, and removes a temporary share.
#[derive(Debug)]
pub struct Lab {
    // Fields are dropped in this order: guests before the directories that they use.
    guests: Vec<Guest>,
    share: PathBuf,
    logs: PathBuf,
    plan: Plan,
    /// How often a guest was to be moved.
    moves: usize,
    directories: Vec<Scratch>,
}

/// What every guest of the lab has in common.
#[derive(Debug)]
struct Plan {
    qemu: Qemu,
    accel: Accel,
    machine: Machine,
    daemon: Spec,
    shared_memory: Option<PathBuf>,
    mount_options: Option<String>,
    boot_limit: Duration,
    command_limit: Duration,
}

/// One guest, and the daemons that serve it.
#[derive(Debug)]
pub struct Guest {
    vm: Option<Vm>,
    daemon: Daemon,
    _root_daemon: Option<Daemon>,
    machine: Machine,
    name: String,
    command_limit: Duration,
    coherent: bool,
}

impl Lab {
    /// What shall be set up.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The shared directory on the host.
    #[must_use]
    pub fn share(&self) -> &Path {
        &self.share
    }

    /// A file of the shared directory, on the host.
    #[must_use]
    pub fn host(&self, name: &str) -> PathBuf {
        self.share.join(name)
    }

    /// Where logs go: `guest-0.kernel.log`, `daemon-0.log` and so on.
    #[must_use]
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The version table of a coherent lab.
    #[must_use]
    pub fn table(&self) -> Option<&Path> {
        self.plan.daemon.table.as_ref().map(Table::path)
    }

    /// The file that is memory of all guests, if the lab was built with one.
    #[must_use]
    pub fn shared_memory(&self) -> Option<&Path> {
        self.plan.shared_memory.as_deref()
    }

    /// How the guests' instructions are run.
    #[must_use]
    pub fn accel(&self) -> Accel {
        self.plan.accel
    }

    /// All guests.
    #[must_use]
    pub fn guests(&self) -> &[Guest] {
        &self.guests
    }

    /// Kill a guest as a power cut would, and boot it again on the same daemon.
    ///
    /// # Errors
    /// It does not come up again.
    pub fn power_cycle(&mut self, number: usize) -> Result<()> {
        let guest = &mut self.guests[number];
        guest.kill();
        guest.launch(&self.plan, &self.logs)?;
        guest.wait_until_mounted(&self.plan)
    }

    /// Kill a guest and its daemon in the middle of what they are doing, the daemon first.
    pub fn crash(&mut self, number: usize) {
        let guest = &mut self.guests[number];
        guest.daemon.process().kill();
        guest.kill();
    }

    /// Start a guest and its daemon again after [`Lab::crash`]. They come together: a guest knows
    /// files by the numbers that its daemon gave them, and QEMU's vhost-user-fs device does not
    /// connect a second time.
    ///
    /// # Errors
    /// One of them does not come up again.
    pub fn restart(&mut self, number: usize) -> Result<()> {
        let guest = &mut self.guests[number];
        guest.daemon.restart()?;
        guest.launch(&self.plan, &self.logs)?;
        guest.wait_until_mounted(&self.plan)
    }

    /// Unmount and switch off every guest, in good order.
    ///
    /// # Errors
    /// One of them does not end in time.
    pub fn power_off(mut self) -> Result<()> {
        for guest in &mut self.guests {
            if let Some(vm) = guest.vm.take() {
                vm.power_off()?;
            }
        }
        Ok(())
    }
}

impl Index<usize> for Lab {
    type Output = Guest;

    fn index(&self, number: usize) -> &Guest {
        &self.guests[number]
    }
}

impl IndexMut<usize> for Lab {
    fn index_mut(&mut self, number: usize) -> &mut Guest {
        &mut self.guests[number]
    }
}

impl Guest {
    /// Run a script with the guest's shell, to its end.
    ///
    /// # Errors
    /// The guest died, or the script took too long. That its status is not 0 is no error: see
    /// [`Output::ok`].
    pub fn sh(&self, script: &str) -> Result<Output> {
        self.run(Command::sh(script))
    }

    /// Run a command to its end.
    ///
    /// # Errors
    /// As [`Guest::sh`].
    pub fn run(&self, command: Command) -> Result<Output> {
        self.vm()?.run(command, Instant::now() + self.command_limit)
    }

    /// Start a command, and do not wait for it.
    ///
    /// # Errors
    /// The guest died.
    pub fn start(&self, command: Command) -> Result<Running> {
        self.vm()?.start(command)
    }

    /// The virtual machine.
    ///
    /// # Errors
    /// It was killed.
    pub fn vm(&self) -> Result<&Vm> {
        self.vm.as_ref().ok_or_else(|| anyhow::anyhow!("{} was killed", self.name))
    }

    /// The virtual machine, to do something to it.
    ///
    /// # Errors
    /// It was killed.
    pub fn vm_mut(&mut self) -> Result<&mut Vm> {
        self.vm.as_mut().ok_or_else(|| anyhow::anyhow!("{} was killed", self.name))
    }

    /// The daemon that serves the share to it.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Whether it mounts the share with the driver that checks the version table.
    #[must_use]
    pub fn is_coherent(&self) -> bool {
        self.coherent
    }

    /// What its daemon has counted since the daemon's start.
    ///
    /// # Errors
    /// The daemon has no counters, or has ended.
    pub fn counters(&self) -> Result<Counters> {
        self.daemon.counters()
    }

    /// Run a script to its end, successfully, and count the requests that it cost.
    ///
    /// # Errors
    /// As [`Guest::sh`], the script fails, or the daemon has no counters.
    pub fn requests_of(&self, script: &str) -> Result<(Output, Counters)> {
        let before = self.counters()?;
        let output = self.sh(script)?.ok()?;
        Ok((output, self.counters()?.since(&before)))
    }

    /// Kill the machine, as a power cut would. The daemon stays.
    pub fn kill(&mut self) {
        self.vm = None;
    }

    fn launch(&mut self, plan: &Plan, logs: &Path) -> Result<()> {
        self.vm = Some(Vm::launch(&self.name, &plan.qemu, &self.machine, plan.accel, logs)?);
        Ok(())
    }

    fn wait_until_mounted(&mut self, plan: &Plan) -> Result<()> {
        if let Some(vm) = &mut self.vm {
            vm.wait_until_up(Instant::now() + plan.boot_limit)?;
        }
        // The helper by its name: not every mount(8) looks for one.
        let program: &[&str] =
            if self.coherent { &["mount.samepage"] } else { &["mount", "-t", "virtiofs"] };
        let mut mount = Command::new(program[0]).args(&program[1..]);
        mount = mount.args([SHARE_TAG, MOUNT_POINT]);
        if let Some(options) = &plan.mount_options {
            mount = mount.arg("-o").arg(options);
        }
        self.run(mount)?.ok()?;
        Ok(())
    }
}
