//! The first process of a test guest, and the agent that runs what the host asks for.
//!
//! As process 1 it mounts the usual file systems, loads the modules that the initramfs brought,
//! moves to the root that the kernel's command line names, starts itself again as the agent, and
//! reaps orphans until the agent ends; then it switches the machine off. Whatever it prints goes
//! to the kernel's console.

mod agent;
mod command;
mod init;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::run();
        return ExitCode::SUCCESS;
    }
    match agent::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samepage-guest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
