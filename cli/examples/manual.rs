//! Writes the man pages and the shells' completions of samepaged and samepage: `manual DIRECTORY`.
//!
//! `cargo xtask man` runs it. Pages go to `DIRECTORY/man`, completions to `DIRECTORY/completions`.

#[allow(dead_code, reason = "only the command line is of interest")]
#[path = "../src/arguments.rs"]
mod arguments;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

fn main() -> io::Result<()> {
    let directory = std::env::args_os().nth(1).unwrap_or_else(|| OsString::from("target/manual"));
    let (pages, completions) =
        (Path::new(&directory).join("man"), Path::new(&directory).join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;

    page(&pages, samepaged::cli::command(), "8")?;
    let tool = arguments::Arguments::command();
    for part in tool.get_subcommands().filter(|part| part.get_name() != "help") {
        let name = format!("samepage-{}", part.get_name());
        // A name that is made here lives as long as the program.
        let name: &'static str = Box::leak(name.into_boxed_str());
        let as_typed = format!("samepage {}", part.get_name());
        let part = part.clone().name(name).bin_name(as_typed);
        page(&pages, part.version(env!("CARGO_PKG_VERSION")), "1")?;
    }
    page(&pages, tool, "1")?;

    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut samepaged::cli::command(), "samepaged", &completions)?;
        generate_to(shell, &mut arguments::Arguments::command(), "samepage", &completions)?;
    }
    Ok(())
}

fn page(directory: &Path, command: Command, section: &str) -> io::Result<()> {
    let name = format!("{}.{section}", command.get_name());
    // A date would make every build another one.
    let man = Man::new(command).section(section).date("").manual("Samepage");
    man.render(&mut File::create(directory.join(name))?)
}
