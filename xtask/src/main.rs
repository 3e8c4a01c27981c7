//! Every developer command of Samepage. `cargo xtask` lists them.

mod demo;
mod fetch;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Samepage's developer commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Vm(Box<vm::Arguments>),
    Fetch(fetch::Arguments),
}

/// What a command ends with when the rig itself failed, not what was run in it.
const RIG_FAILED: u8 = 125;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Vm(arguments) => vm::run(&arguments),
        Command::Fetch(arguments) => fetch::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(RIG_FAILED)
    })
}
