//! Zero staleness, checked: what several guests see of one share, while they change it at random
//! and some of them are killed, must be what one machine could have seen (see `tests/history`).

mod recording;

use anyhow::{Result, bail};
use samepage_tests::framework::Lab;
use samepage_tests::framework::lab::Builder;

use recording::Plan;

/// Guests whose caches hold nothing are right by themselves: a test of the test.
#[test]
fn guests_without_caches_are_linearizable() -> Result<()> {
    let plan = Plan { coherent: 2, stock: 1, operations: 3000, kills: 1, seed: 1 };
    plan.verify(&plan.record(Lab::builder().cache("never"))?)
}

/// And those that trust their caches for a while are not, which the same test must find.
#[test]
fn guests_with_timeouts_are_found_out() -> Result<()> {
    let plan = Plan { coherent: 2, stock: 0, operations: 3000, kills: 0, seed: 2 };
    found_out(&plan, Lab::builder().cache("auto"))
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
