//! The command line: virtiofsd's names and meanings, and a few of our own.
//!
//! Usage errors are one line that names the culprit and the remedy (exit status 2). Nothing here touches the system.

mod args;
mod capabilities;
mod compat;
mod config;
mod migration;
mod others;
mod usage;
mod values;

use std::ffi::OsString;

pub use config::{Config, Front, LogFormat, LogLevel, LogTarget};
pub use usage::UsageError;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve a directory.
    Serve(Box<Config>),
    /// Print this (help, version, capabilities) and be done.
    Print(String),
}

/// All options, as clap knows them, for man pages and shells.
#[must_use]
pub fn command() -> clap::Command {
    <args::Args as clap::CommandFactory>::command()
}

/// Reads the command line; the first argument is the program's name. `activated` is a listening socket that came with
/// the process, for want of another one.
///
/// # Errors
/// Unknown, malformed, missing, contradictory or not yet supported options.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    activated: Option<i32>,
) -> Result<Command, UsageError> {
    let mut args = match args::parse(arguments) {
        Ok(args) => args,
        Err(error) => return usage::help_or_error(&error).map(Command::Print),
    };
    if args.print_capabilities {
        return Ok(Command::Print(capabilities::json()));
    }
    compat::apply(&mut args)?;
    if args.front.socket_path.is_none() && args.old.socket.is_none() {
        args.front.fd = args.front.fd.or(activated);
    }
    config::check(&args).map(|config| Command::Serve(Box::new(config)))
}

#[cfg(test)]
mod tests;
