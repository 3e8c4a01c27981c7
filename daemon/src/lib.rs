//! `samepaged`: a vhost-user virtio-fs device daemon that shares one host directory with many VMs.
//!
//! [`run`] is the whole program: the command line becomes a [`cli::Config`], [`service`] wires the file system, the
//! server and the transport together, and errors become one line and an exit status.

pub mod activation;
pub mod cli;
pub mod coherent;
pub mod dax;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod limits;
pub mod logging;
pub mod mappings;
pub mod metrics;
pub mod migration;
pub mod passthrough;
pub mod sandbox;
pub mod service;
pub mod signals;
pub mod socket;
mod sys;
pub mod transport;
mod vanishing;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use cli::{Command, LogTarget};

/// Exit status for a wrong command line.
const USAGE: u8 = 2;

/// Runs the daemon with the given arguments, the program's name first, to its end.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = activation::descriptor().and_then(|socket| cli::parse(arguments, socket));
    let config = match parsed {
        Ok(Command::Serve(config)) => config,
        Ok(Command::Print(text)) => {
            // Nobody is left to tell when the reader has gone.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("samepaged: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let to_syslog = config.log_target == LogTarget::Syslog;
    match service::run(&config) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("samepaged: {error}");
            if to_syslog {
                tracing::error!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}
