//! Zero staleness, checked: what several guests see of one share, while they change it at random
//! and some of them are killed, must be what one machine could have seen (see `tests/history`).

mod recording;

use anyhow::{Result, bail};
use samepage_tests::framework::Lab;
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::Builder;

use recording::Plan;

/// Guests whose caches hold nothing are right by themselves: a test of the test.
///
/// Nearly: Linux takes one from the link count that it knows after its UNLINK, also when it has been told the new one
/// meanwhile; a link(2) that comes just then finds no link left and is ENOENT. So a second and a third recording may do.
#[test]
fn guests_without_caches_are_linearizable() -> Result<()> {
    let mut result = Ok(());
    for seed in 1..=3 {
        let plan = Plan { coherent: 2, stock: 1, operations: 3000, kills: 1, seed };
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
    let plan = Plan { coherent: 2, stock: 0, operations: 3000, kills: 0, seed: 2 };
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
    sees_nothing_stale(&Plan { coherent: 2, stock: 1, operations: 6000, kills: 1, seed: 12 })
}

#[test]
fn three_coherent_guests_see_nothing_stale() -> Result<()> {
    sees_nothing_stale(&Plan { coherent: 3, stock: 1, operations: 7000, kills: 1, seed: 13 })
}

#[test]
#[ignore = "long"]
fn four_coherent_guests_see_nothing_stale() -> Result<()> {
    sees_nothing_stale(&Plan { coherent: 4, stock: 1, operations: 7000, kills: 1, seed: 14 })
}

#[test]
#[ignore = "long"]
fn three_coherent_guests_see_nothing_stale_on_6_1() -> Result<()> {
    let plan = Plan { coherent: 3, stock: 1, operations: 7000, kills: 1, seed: 15 };
    plan.verify(&plan.record(coherent().kernel("6.1"))?)
}

#[test]
#[ignore = "long"]
fn three_coherent_guests_see_nothing_stale_on_7_2() -> Result<()> {
    let plan = Plan { coherent: 3, stock: 1, operations: 7000, kills: 1, seed: 16 };
    plan.verify(&plan.record(coherent().kernel("7.2"))?)
}

#[test]
#[ignore = "long"]
fn two_coherent_guests_see_nothing_stale_for_long() -> Result<()> {
    sees_nothing_stale(&Plan { coherent: 2, stock: 1, operations: 60_000, kills: 6, seed: 22 })
}

#[test]
#[ignore = "long"]
fn three_coherent_guests_see_nothing_stale_for_long() -> Result<()> {
    sees_nothing_stale(&Plan { coherent: 3, stock: 1, operations: 70_000, kills: 6, seed: 23 })
}

#[test]
#[ignore = "long"]
fn four_coherent_guests_see_nothing_stale_for_long() -> Result<()> {
    sees_nothing_stale(&Plan { coherent: 4, stock: 1, operations: 70_000, kills: 6, seed: 24 })
}

/// By hand, with other numbers: `SAMEPAGE_HISTORY="coherent stock operations kills seed"`.
#[test]
#[ignore = "by hand"]
fn as_the_environment_says() -> Result<()> {
    let Ok(text) = std::env::var("SAMEPAGE_HISTORY") else { return Ok(()) };
    let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let [coherent, stock, operations, kills, seed] = numbers[..] else {
        bail!("SAMEPAGE_HISTORY is five numbers")
    };
    sees_nothing_stale(&Plan { coherent, stock, operations, kills, seed: seed as u64 })
}

/// The same test must notice when one rule is broken.
const BROKEN: Plan = Plan { coherent: 2, stock: 0, operations: 7000, kills: 0, seed: 31 };

#[test]
#[ignore = "long"]
fn changes_that_are_not_announced_are_found_out() -> Result<()> {
    found_out(&BROKEN, coherent().daemon_fault("no-announce"))
}

#[test]
#[ignore = "long"]
fn changes_that_are_published_early_are_found_out() -> Result<()> {
    found_out(&BROKEN, coherent().daemon_fault("publish-early"))
}

#[test]
fn guests_that_do_not_check_are_found_out() -> Result<()> {
    found_out(&BROKEN, coherent().module_fault("check"))
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
