//! Two hours of everyday work by guests of three kernels and the host on one share: nothing grows, nothing is lost, and in
//! the end all agree.

#![expect(clippy::cast_precision_loss, reason = "what is measured and drawn is far below 2^52")]

pub(crate) mod agreement;
mod crew;
mod picture;
mod record;
mod verdict;

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crew::Crew;
use record::Record;

const EVERY: Duration = Duration::from_secs(10);
const TWO_HOURS: u64 = 2 * 60 * 60;

/// `SAMEPAGE_SOAK_SECONDS` makes it shorter or longer. What was measured is kept in `target/soak`.
#[test]
#[ignore = "long"]
fn two_hours_of_work_leave_nothing_behind() -> Result<()> {
    let seconds = match env::var("SAMEPAGE_SOAK_SECONDS") {
        Ok(text) => text.parse().context("SAMEPAGE_SOAK_SECONDS is a number")?,
        Err(_) => TWO_HOURS,
    };
    let mut crew = Crew::start()?;
    let mut record = Record::of(crew.names());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        thread::sleep(EVERY);
        crew.sample(&mut record, begun.elapsed())?;
        record.keep()?;
    }
    println!("{}", crew.finish()?);
    picture::draw(&record, &Record::place().join("soak.svg"))?;
    println!("{}", verdict::judge(&record)?);
    Ok(())
}

/// Judges and draws once more what was measured last, if anything was.
#[test]
#[ignore = "by hand"]
fn the_last_soak_is_drawn_again() -> Result<()> {
    let place = Record::place();
    let Some(record) = Record::last(&place)? else { return Ok(()) };
    picture::draw(&record, &place.join("soak.svg"))?;
    println!("{}", verdict::judge(&record)?);
    Ok(())
}
