//! A guest that dies without a word, over and over, must cost the daemon nothing.

use anyhow::Result;
use samepage_tests::framework::Lab;
use samepage_tests::framework::daemon::usage::Usage;

/// What an allocator may keep after the first guests, in KiB.
const ALLOWED_GROWTH_KIB: u64 = 4096;

#[test]
fn three_power_cycles_leak_nothing() -> Result<()> {
    power_cycles(3)
}

#[test]
#[ignore = "long"]
fn twenty_power_cycles_leak_nothing() -> Result<()> {
    power_cycles(20)
}

fn power_cycles(count: u32) -> Result<()> {
    // virtiofsd ends with its guest, so this is about ours.
    let program = samepage_tests::framework::daemon::Program::Samepaged;
    let mut lab = Lab::builder().cache("auto").daemon(program).boot()?;
    // Each guest dies with files open, a lookup cache and requests in flight.
    let load = "mkdir -p /mnt/d; cd /mnt/d; \
                i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i > f$i; done; ls -l > /dev/null; \
                exec 3> held 4< f1; \
                (while :; do cat f* > /dev/null; done) > /dev/null 2>&1 & sleep 0";
    let mut usages = vec![usage(&mut lab)?];
    for _ in 0..count {
        lab[0].sh(load)?.ok()?;
        lab.power_cycle(0)?;
        // The new guest has only mounted; anything more is left from the one that died.
        usages.push(usage(&mut lab)?);
    }
    for (cycle, usage) in usages.iter().enumerate() {
        println!("after {cycle} power cycles: {usage:?}");
    }
    let (first, last) = (usages[1], usages[usages.len() - 1]);
    assert_eq!((first.descriptors, first.threads), (last.descriptors, last.threads), "{usages:?}");
    assert!(last.resident_kib <= first.resident_kib + ALLOWED_GROWTH_KIB, "{usages:?}");
    Ok(())
}

fn usage(lab: &mut Lab) -> Result<Usage> {
    Usage::of(lab[0].daemon().process().pid())
}
