//! Two real guests map files of the share that a third, hostile one asks to have mapped in every wrong way, before a VMM that
//! is as bad (`daemon/tests/binary/hostile/window`). Its daemon is one of the same table.
//!
//! Meanwhile the guests pass entries through the pages of files and write, read and count in others. They do not touch the
//! files that are cut under the hostile one: what the host cuts may end a VMM that uses it (docs/dax.md).

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};
use samepage_history::queue;
use samepage_tests::framework::guest::Running;
use samepage_tests::framework::{Command, Lab, cargo};

use super::{NAMES, PATIENCE, Place, are_at_work, soaker};

/// The test of the daemon's that asks for mappings.
const MAPPINGS: &str = "hostile::window::hostile_mappings_for_a_quarter_of_a_minute";

/// More files than there is time for.
const QUEUES: usize = 1000;

/// Puts some thousand entries into one file after the other, until it is told to stop.
const PRODUCE: &str = "n=0; until test -e /mnt/stop; do
    : > /mnt/queues/begun.$n; mapper produce /mnt/queues/$n 5000 || exit 1; n=$((n + 1)); done
    : > /mnt/queues/end; echo $n";

/// Takes them out, and knows each.
const CONSUME: &str = "n=0; while :; do
    until test -e /mnt/queues/begun.$n; do test -e /mnt/queues/end && echo $n && exit; usleep 20000; done
    mapper consume /mnt/queues/$n 5000 || exit 1; n=$((n + 1)); done";

/// Sees the names of what the hostile one has mapped, and what the host makes of them.
const LOOK: &str =
    "until test -e /mnt/stop; do find /mnt/share -exec stat {} + > /dev/null 2>&1; sleep 1; done";

#[test]
#[ignore = "long"]
fn guests_that_map_files_come_to_no_harm_by_hostile_mappings() -> Result<()> {
    let place = Place::new()?;
    fs::create_dir(place.house.path().join("queues"))?;
    for number in 0..QUEUES {
        let name = format!("queues/{number}");
        fs::write(place.house.path().join(name), vec![0; queue::BYTES as usize])?;
    }
    let lab = place.lab()?.dax("16M", "inode").program(cargo::mapper()?, "/bin/mapper").boot()?;
    let soakers: Vec<_> =
        (0..NAMES.len()).map(|number| soaker(&lab, number)).collect::<Result<_>>()?;
    let start = |guest: usize, script: &str| lab[guest].start(Command::sh(script));
    let queues = [start(0, PRODUCE)?, start(1, CONSUME)?];
    let lookers = [start(0, LOOK)?, start(1, LOOK)?];
    let all = || soakers.iter().chain(&queues).chain(&lookers);
    place.be_hostile(MAPPINGS, 60, &lab, || are_at_work(all()))?;
    place.stop()?;
    let [produced, consumed] = queues.map(count);
    let (produced, consumed) = (produced?, consumed?);
    ensure!(produced > 0 && produced == consumed, "{produced} queues filled, {consumed} emptied");
    for looker in lookers {
        looker.wait(Instant::now() + PATIENCE)?.ok()?;
    }
    were_mapped(&lab)?;
    println!("{produced} queues");
    place.agree(lab, soakers)
}

fn count(queue: Running) -> Result<u64> {
    Ok(queue.wait(Instant::now() + PATIENCE)?.ok()?.text().trim().parse()?)
}

fn were_mapped(lab: &Lab) -> Result<()> {
    for guest in lab.guests() {
        let counters = guest.counters()?;
        ensure!(counters.requests("SETUPMAPPING") > 0, "{counters}");
    }
    Ok(())
}
