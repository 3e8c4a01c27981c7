//! Loads virtio-fs daemons side by side and says how they compare.
//!
//! ```text
//! options   what to run            jobs     what an operation is, request by request
//! vhost     the VMM's side: memory, rings, one thread a queue (drive)
//! session   the guest's kernel: INIT, and requests one at a time
//! subject   a daemon under load: its process and what it costs
//! plan      how many of what       rounds   A B A B …
//! floor     the same system calls without a daemon
//! inodes    what a million cost    syscalls how many an operation makes
//! report    table, JSON, SVG
//! ```

// Figures for people: nobody reads the sixteenth digit.
#![allow(clippy::cast_precision_loss)]

mod drive;
mod floor;
mod inodes;
mod jobs;
mod options;
mod plan;
mod process;
mod report;
mod rounds;
mod session;
mod subject;
mod syscalls;
mod vhost;
mod wire;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match rounds::run(&options::Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
