//! A guest that is moved, while it runs, to another QEMU with another daemon.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Guest, Lab};
use crate::framework::daemon::Daemon;
use crate::framework::vm::{Machine, Monitor, Vm};

const LIMIT: Duration = Duration::from_mins(2);

impl Lab {
    /// Move a guest to a QEMU and a daemon of its own, which is started with `more` arguments. If it stays where it was, the
    /// answer says why, and with that comes the log of the daemon that it should have gone to.
    ///
    /// Commands that run in the guest at that moment are heard of no more.
    ///
    /// # Errors
    /// Something cannot be started, or it takes too long.
    pub fn migrate(&mut self, number: usize, more: &[&str]) -> Result<Result<(), String>> {
        self.moves += 1;
        let name = format!("guest {number} move {}", self.moves);
        let stem = name.replace(' ', "-");
        let mut spec = self.plan.daemon.clone();
        spec.arguments.extend(more.iter().map(OsString::from));
        let scratch = self.directories[0].path();
        let socket = scratch.join(format!("{stem}.sock"));
        let log = self.logs.join(format!("{stem}.daemon.log"));
        let daemon = Daemon::start(&format!("daemon of {name}"), &spec, &socket, &log)?;
        let passage = scratch.join(format!("{stem}.passage"));
        let guest = &mut self.guests[number];
        let mut machine = guest.machine.clone();
        machine.shares[0].socket = socket;
        let mut incoming = OsString::from("unix:");
        incoming.push(&passage);
        let awaiting = Machine {
            qemu_arguments: [&machine.qemu_arguments[..], &["-incoming".into(), incoming]].concat(),
            ..machine.clone()
        };
        let vm = Vm::launch(&name, &self.plan.qemu, &awaiting, self.plan.accel, &self.logs)?;
        let deadline = Instant::now() + LIMIT;
        let mut there = Monitor::connect(vm.monitor(), deadline)?;
        let mut here = Monitor::connect(guest.vm()?.monitor(), deadline)?;
        if let Err(why) = here.migrate(&passage, deadline)? {
            here.wait_until_running(deadline)?;
            let said = std::fs::read_to_string(log).unwrap_or_default();
            return Ok(Err(format!("{why}\n{said}")));
        }
        there.wait_until_running(deadline)?;
        guest.take_the_place_of(vm, daemon, machine)?;
        Ok(Ok(()))
    }
}

impl Guest {
    fn take_the_place_of(&mut self, vm: Vm, daemon: Daemon, machine: Machine) -> Result<()> {
        vm.goes_on_after(self.vm()?);
        self.vm = Some(vm);
        self.daemon = daemon;
        self.machine = machine;
        Ok(())
    }
}
