//! What `samepage_history::soak` does, on one machine:
//!
//! `samepage-soaker DIRECTORY NAME SEED PERCENT coherent|stock`, until there is a file `stop`. The line at the end is a
//! `samepage_history::soak::Report`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use samepage_history::soak::Worker;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samepage-soaker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let [root, name, seed, percent, promise] = words else {
        bail!("usage: samepage-soaker DIRECTORY NAME SEED PERCENT coherent|stock")
    };
    let worker = Worker {
        root: root.into(),
        name: name.clone(),
        seed: seed.parse()?,
        percent: percent.parse()?,
        coherent: promise == "coherent",
    };
    println!("{}", worker.work()?.line());
    Ok(())
}
