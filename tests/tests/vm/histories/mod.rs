//! Zero staleness, checked: what several guests see of one share, while they change it at random
//! and some of them are killed, must be what one machine could have seen (see `tests/history`).

mod recording;

use anyhow::{Result, bail};
use samepage_tests::framework::Lab;
use samepage_tests::framework::artifact::kernel;
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::Builder;

use samepage_history::generate::Mix;

use recording::Plan;

const EVERYTHING: Mix = Mix::Everything;

/// Guests whose caches hold nothing are right by themselves: a test of the test.
///
/// Nearly: Linux takes one from the link count that it knows after its UNLINK, also when it has been told the new one
/// meanwhile; a link(2) that comes just then finds no link left and is ENOENT. So a second and a third recording may do.
#[test]
fn guests_without_caches_are_linearizable() -> Result<()> {
    let mut result = Ok(());
    for seed in 1..=3 {
        let plan =
            Plan { coherent: 2, stock: 1, operations: 3000, kills: 1, seed, mix: EVERYTHING };
        result = plan.verify(&plan.record(Lab::builder().cache("never"))?);
        match &result {
            Ok(()) => break,
            Err(error) => println!("{error:#}"),
        }
    }
    result
}

/// And those that trust their caches for a while are not, which the same test must find.
#[test]
fn guests_with_timeouts_are_found_out() -> Result<()> {
    let plan = Plan { coherent: 2, stock: 0, operations: 3000, kills: 0, seed: 2, mix: EVERYTHING };
    found_out(&plan, Lab::builder().cache("auto"))
}

/// A lab whose guests keep what they know until the table says otherwise.
fn coherent() -> Builder {
    // Without the table nothing would be asked for again for a day.
    Lab::builder().coherent().daemon(Program::Samepaged)
}

fn sees_nothing_stale(plan: &Plan) -> Result<()> {
    plan.verify(&plan.record(coherent())?)
}

#[test]
fn two_coherent_guests_see_nothing_stale() -> Result<()> {
    sees_nothing_stale(&Plan {
        coherent: 2,
        stock: 1,
        operations: 6000,
        kills: 1,
        seed: 12,
        mix: EVERYTHING,
    })
}

#[test]
fn three_coherent_guests_see_nothing_stale() -> Result<()> {
    sees_nothing_stale(&Plan {
        coherent: 3,
        stock: 1,
        operations: 20_000,
        kills: 1,
        seed: 13,
        mix: EVERYTHING,
    })
}

/// Where a file is read while others write, cut and extend it.
#[test]
fn contents_are_of_one_moment() -> Result<()> {
    sees_nothing_stale(&Plan { operations: 8000, kills: 0, seed: 14, ..CONTENTS })
}

/// With guests that die and come back.
const LONG: Plan =
    Plan { coherent: 3, stock: 1, operations: 200_000, kills: 3, seed: 20, mix: EVERYTHING };

const CONTENTS: Plan =
    Plan { coherent: 3, stock: 1, operations: 60_000, kills: 2, seed: 40, mix: Mix::Contents };

macro_rules! long_histories {
    ($($name:ident: $plan:expr, $kernel:literal;)+) => {
        $(
            #[test]
            #[ignore = "long"]
            fn $name() -> Result<()> {
                let plan: Plan = $plan;
                plan.verify(&plan.record(coherent().kernel($kernel))?)
            }
        )+
    };
}

long_histories! {
    two_coherent_guests_for_long_on_6_1: Plan { coherent: 2, ..LONG }, "6.1";
    two_coherent_guests_for_long_on_6_12: Plan { coherent: 2, ..LONG }, "6.12";
    two_coherent_guests_for_long_on_7_2: Plan { coherent: 2, ..LONG }, "7.2";
    three_coherent_guests_for_long_on_6_1: LONG, "6.1";
    three_coherent_guests_for_long_on_6_12: LONG, "6.12";
    three_coherent_guests_for_long_on_7_2: LONG, "7.2";
    four_coherent_guests_for_long_on_6_1: Plan { coherent: 4, ..LONG }, "6.1";
    four_coherent_guests_for_long_on_6_12: Plan { coherent: 4, ..LONG }, "6.12";
    four_coherent_guests_for_long_on_7_2: Plan { coherent: 4, ..LONG }, "7.2";
    contents_are_of_one_moment_on_6_1: CONTENTS, "6.1";
    contents_are_of_one_moment_on_6_12: CONTENTS, "6.12";
    contents_are_of_one_moment_on_7_2: CONTENTS, "7.2";
}

/// By hand, with other numbers: `SAMEPAGE_HISTORY="coherent stock operations kills seed [kernel [contents]]"`, and with
/// the daemon that `SAMEPAGE_DAEMON` names.
#[test]
#[ignore = "by hand"]
fn as_the_environment_says() -> Result<()> {
    let Ok(text) = std::env::var("SAMEPAGE_HISTORY") else { return Ok(()) };
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some((numbers, rest)) = words.split_at_checked(5) else {
        bail!("SAMEPAGE_HISTORY is five numbers, and a kernel if it shall be another")
    };
    let numbers = numbers.iter().map(|word| word.parse()).collect::<Result<Vec<usize>, _>>()?;
    let plan = Plan {
        coherent: numbers[0],
        stock: numbers[1],
        operations: numbers[2],
        kills: numbers[3],
        seed: numbers[4] as u64,
        mix: if rest.get(1) == Some(&"contents") { Mix::Contents } else { EVERYTHING },
    };
    let kernel = rest.first().copied().unwrap_or(kernel::DEFAULT);
    plan.verify(&plan.record(Lab::builder().coherent().kernel(kernel))?)
}

/// The same test must notice when one rule is broken. Not with daemons that watch the host: each hears of what the others
/// change as if the host had, and advances the slots a moment later.
const BROKEN: Plan =
    Plan { coherent: 2, stock: 0, operations: 7000, kills: 0, seed: 31, mix: EVERYTHING };

fn unwatched() -> Builder {
    coherent().daemon_args(["--watch", "off"])
}

#[test]
#[ignore = "long"]
fn changes_that_are_not_announced_are_found_out() -> Result<()> {
    found_out(&BROKEN, unwatched().daemon_fault("no-announce"))
}

#[test]
#[ignore = "long"]
fn changes_that_are_published_early_are_found_out() -> Result<()> {
    found_out(&BROKEN, unwatched().daemon_fault("publish-early"))
}

#[test]
fn guests_that_do_not_check_are_found_out() -> Result<()> {
    found_out(&BROKEN, coherent().module_fault("check"))
}

/// Pages of before another guest's change.
#[test]
fn pages_that_are_not_checked_are_found_out() -> Result<()> {
    let plan = Plan { coherent: 2, stock: 0, operations: 3000, kills: 0, seed: 32, ..CONTENTS };
    found_out(&plan, coherent().module_fault("page"))
}

fn found_out(plan: &Plan, builder: Builder) -> Result<()> {
    match plan.verify(&plan.record(builder)?) {
        Ok(()) => bail!("no violation was found, and there must be many"),
        Err(violation) => {
            println!("as it should be, {violation}");
            Ok(())
        }
    }
}
