//! Every developer command of Samepage. `cargo xtask` lists them.

mod bench;
mod deb;
mod demo;
mod deny;
mod fetch;
mod fuzz;
mod guest;
mod loom;
mod manual;
mod miri;
mod model;
mod test;
mod tidy;
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
    Bench(bench::Arguments),
    Demo(demo::Arguments),
    Test(test::Arguments),
    Vm(Box<vm::Arguments>),
    Fetch(fetch::Arguments),
    Guest(guest::Arguments),
    Tidy(tidy::Arguments),
    Deny(deny::Arguments),
    Man(manual::Arguments),
    Deb(deb::Arguments),
    Loom(loom::Arguments),
    Miri(miri::Arguments),
    Model(model::Arguments),
    Fuzz(fuzz::Arguments),
}

/// What a command ends with when the rig itself failed, not what was run in it.
const RIG_FAILED: u8 = 125;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => Ok(test::run(&arguments)),
        Command::Vm(arguments) => vm::run(&arguments),
        Command::Fetch(arguments) => fetch::run(&arguments),
        Command::Guest(arguments) => guest::run(&arguments),
        Command::Tidy(arguments) => tidy::run(&arguments),
        Command::Deny(arguments) => deny::run(&arguments),
        Command::Man(arguments) => manual::run(&arguments),
        Command::Deb(arguments) => deb::run(&arguments),
        Command::Loom(arguments) => loom::run(&arguments),
        Command::Miri(arguments) => miri::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(RIG_FAILED)
    })
}
