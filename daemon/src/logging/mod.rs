//! Where log lines go: stderr, or the system's logger.

mod json;
mod named;
mod syslog;
#[cfg(test)]
mod testing;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{LogFormat, LogLevel, LogTarget};
use crate::error::StartError;
use json::Json;
use named::Named;
use syslog::Syslog;

/// Starts logging; each line names the guest, since many daemons may write to one log. `RUST_LOG`, where set, decides what
/// is logged instead of `level`.
///
/// # Errors
/// Where `RUST_LOG` makes no sense or the system's logger does not answer.
pub fn start(
    level: LogLevel,
    (target, format): (LogTarget, LogFormat),
    guest: &str,
) -> Result<(), StartError> {
    let filter = filter(level)?;
    // A line that cannot be written is lost. Said on stderr, which may be what is gone, it would be a panic of the thread
    // that logs: one that serves a queue, or the one that is to end the daemon.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let line = tracing_subscriber::fmt::format().with_target(false);
    match (target, format) {
        (LogTarget::Stderr, LogFormat::Json) => {
            builder.event_format(Json::new(guest, true)).with_writer(std::io::stderr).init();
        }
        (LogTarget::Syslog, LogFormat::Json) => {
            let syslog = Syslog::connect().map_err(StartError::Syslog)?;
            builder.event_format(Json::new(guest, false)).with_writer(syslog).init();
        }
        (LogTarget::Stderr, LogFormat::Text) => {
            let line = line.with_ansi(std::io::stderr().is_terminal());
            builder.event_format(Named::new(guest, line)).with_writer(std::io::stderr).init();
        }
        (LogTarget::Syslog, LogFormat::Text) => {
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
