//! What `samepage_history::mapper` does, in a guest:
//!
//! `samepage-mapper token FILE PLAYER TURNS | store FILE WORD VALUE | sync FILE WORD VALUE | load FILE WORD |
//! touch FILE ROUNDS STOP | produce FILE COUNT | consume FILE COUNT | check FILE SEED NEXT |
//! later FILE READY GO | hold DIRECTORY READY GO`

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use samepage_history::{mapper, queue};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samepage-mapper: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["token", file, player, turns] => {
            println!("{}", mapper::pass_token(Path::new(file), player.parse()?, turns.parse()?)?);
        }
        [how @ ("store" | "sync"), file, word, value] => {
            mapper::store(Path::new(file), word.parse()?, value.parse()?, *how == "sync")?;
        }
        ["check", file, seed, next] => {
            println!("{}", mapper::check(Path::new(file), seed.parse()?, next.parse()?)?);
        }
        ["later", file, ready, go] => {
            println!("{}", mapper::look_later(file.as_ref(), ready.as_ref(), go.as_ref())?);
        }
        ["hold", directory, ready, go] => {
            mapper::hold(directory.as_ref(), ready.as_ref(), go.as_ref())?;
        }
        ["produce", file, count] => queue::produce(Path::new(file), count.parse()?)?,
        ["consume", file, count] => queue::consume(Path::new(file), count.parse()?)?,
        ["touch", file, rounds, stop] => {
            mapper::touch(Path::new(file), rounds.parse()?, Path::new(stop))?;
        }
        ["load", file, word] => println!("{}", mapper::load(Path::new(file), word.parse()?)?),
        _ => bail!("what shall be done? See the source"),
    }
    Ok(())
}
