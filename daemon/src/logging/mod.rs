//! Where log lines go: stderr, or the system's logger.

mod named;
mod syslog;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{LogLevel, LogTarget};
use crate::error::StartError;
use named::Named;
use syslog::Syslog;

/// Starts logging; each line begins with `guest=GUEST`, since many daemons may write to one log. `RUST_LOG`, where set, decides what is logged instead of `level`.
///
/// # Errors
/// Where `RUST_LOG` makes no sense or the system's logger does not answer.
pub fn start(level: LogLevel, target: LogTarget, guest: &str) -> Result<(), StartError> {
    let filter = filter(level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    let line = tracing_subscriber::fmt::format().with_target(false);
    match target {
        LogTarget::Stderr => {
            let line = line.with_ansi(std::io::stderr().is_terminal());
            builder.event_format(Named::new(guest, line)).with_writer(std::io::stderr).init();
        }
        LogTarget::Syslog => {
            let syslog = Syslog::connect().map_err(StartError::Syslog)?;
            // The logger adds the time and knows the level from the priority.
            let line = line.with_ansi(false).without_time().with_level(false);
            builder.event_format(Named::new(guest, line)).with_writer(syslog).init();
        }
    }
    Ok(())
}

fn filter(level: LogLevel) -> Result<EnvFilter, StartError> {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Off => LevelFilter::OFF,
    };
    match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(directives) if !directives.is_empty() => {
            EnvFilter::try_new(directives).map_err(|error| StartError::RustLog(error.to_string()))
        }
        _ => Ok(EnvFilter::default().add_directive(level.into())),
    }
}
