//! `cargo xtask demo`

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::{self, module, progress::Step, tools};
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::Builder;
use samepage_tests::framework::vm::Accel;
use samepage_tests::framework::{Guest, Lab, cargo};

/// Boot two VMs on one directory, and show that what one changes the other sees at its next look
///
/// Both VMs cache what they know, without timeouts, and ask nobody as long as nothing changes: the
/// requests are counted. Afterwards the same is done with virtiofsd's timeouts, and with no cache.
/// The first run fetches QEMU, a kernel and busybox, and builds the daemons and the guests' driver;
/// that takes a few minutes. Later runs take less than one.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// One change by A, and how B looks at it: before, at once, and what it must say then.
struct Act {
    what: &'static str,
    change: &'static str,
    look: &'static str,
    expected: &'static str,
}

const ACTS: &[Act] = &[
    Act {
        what: "creates a file",
        change: "echo one > /mnt/plan",
        look: "cat /mnt/plan 2> /dev/null || echo none",
        expected: "one\n",
    },
    Act {
        what: "changes its mode",
        change: "chmod 600 /mnt/plan",
        look: "stat -c %a /mnt/plan",
        expected: "600\n",
    },
    Act {
        what: "writes as much as was there",
        change: "echo two > /mnt/plan",
        look: "cat /mnt/plan",
        expected: "two\n",
    },
    Act {
        what: "renames it",
        change: "mv /mnt/plan /mnt/done",
        look: "for name in plan done; do test -e /mnt/$name && echo $name; done; true",
        expected: "done\n",
    },
];

/// Files that B looks at over and over.
const FILES: usize = 200;
const ROUNDS: usize = 25;

/// What a run came to.
struct Tally {
    seen: usize,
    requests: u64,
    looks: usize,
    nanoseconds: u64,
}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    println!("Two VMs, one directory. Both cache what they know.\n");
    prepare()?;
    let boot = Step::begin("booting two VMs with the samepage driver");
    let lab = boot_with(Lab::builder().coherent().daemon(Program::Samepaged))?;
    boot.done("");
    introduce(&lab)?;
    let coherent = perform(&lab, true)?;
    ensure!(coherent.seen == ACTS.len(), "B did not see every change at once");
    edit_on_the_host(&lab)?;
    lab.power_off()?;

    println!("\nThe same with others:");
    let mut rows = vec![("samepage", coherent)];
    for (name, cache) in [("virtiofsd, cache=auto", "auto"), ("virtiofsd, cache=never", "never")] {
        let step = Step::begin(name);
        let lab = boot_with(Lab::builder().daemon(Program::Virtiofsd).cache(cache))?;
        rows.push((name, perform(&lab, false)?));
        lab.power_off()?;
        step.done("");
    }
    compare(&rows);
    println!("\n{:.0} s in all.", begun.elapsed().as_secs_f64());
    println!(
        "Go on with: cargo xtask vm --coherent --guests 2 -- 'echo $GUEST >> /mnt/log; cat /mnt/log'"
    );
    Ok(ExitCode::SUCCESS)
}

/// What has to be fetched and built, with progress.
fn prepare() -> Result<()> {
    artifact::fetch_defaults()?;
    module::obtain(artifact::kernel::DEFAULT, false)?;
    tools::virtiofsd()?;
    let build = Step::begin("building the daemon and what runs in the guests");
    cargo::guest_agent()?;
    cargo::probe()?;
    cargo::samepaged()?;
    build.done("");
    Ok(())
}

fn boot_with(builder: Builder) -> Result<Lab> {
    let lab = builder.guests(2).program(cargo::probe()?, "/bin/samepage-probe").boot()?;
    let many = lab.host("many");
    fs::create_dir(&many)?;
    for number in 0..FILES {
        fs::write(many.join(number.to_string()), "")?;
    }
    Ok(lab)
}

fn introduce(lab: &Lab) -> Result<()> {
    let release = lab[0].sh("uname -r")?.ok()?.text();
    let accel = match lab.accel() {
        Accel::Kvm => "with KVM",
        Accel::Tcg => "emulated, as this machine has no usable KVM",
    };
    println!("  VM A and VM B are up: Linux {}, {accel}.", release.trim_end());
    println!("  Both have {} of the host at /mnt.\n", lab.share().display());
    Ok(())
}

/// A changes things, B looks, and looks again.
fn perform(lab: &Lab, aloud: bool) -> Result<Tally> {
    let (a, b) = (&lab[0], &lab[1]);
    let mut seen = 0;
    for act in ACTS {
        // What B knows now is what it must not say afterwards.
        b.sh(act.look)?.ok()?;
        b.sh(act.look)?.ok()?;
        a.sh(act.change)?.ok()?;
        let text = b.sh(act.look)?.ok()?.text();
        seen += usize::from(text == act.expected);
        if aloud {
            let mark = if text == act.expected { "✓" } else { "✗" };
            println!("  A {}\n    A$ {}\n    B$ {}", act.what, act.change, act.look);
            text.lines().for_each(|line| println!("        {line}   {mark}"));
        }
    }
    let looks = ROUNDS * FILES;
    b.sh("samepage-probe stat /mnt/many 1")?.ok()?;
    let before = requests(b)?;
    let script = format!("samepage-probe stat /mnt/many {ROUNDS}");
    let output = b.sh(&script)?.ok()?.text();
    // Finding the files opens and closes a directory.
    let requests = (requests(b)? - before).saturating_sub(2);
    let nanoseconds = output.split_whitespace().nth(1).and_then(|text| text.parse().ok());
    let nanoseconds = nanoseconds.context("samepage-probe says how long a look takes")?;
    if aloud {
        println!("  B looks at {FILES} files {ROUNDS} times\n    B$ {script}");
        println!("        {looks} looks, {requests} requests to the host");
    }
    Ok(Tally { seen, requests, looks, nanoseconds })
}

/// How often a guest has asked its daemon: what ours has counted, or the interrupts of the queue.
fn requests(guest: &Guest) -> Result<u64> {
    if let Ok(counters) = guest.counters() {
        return Ok(counters.requests_but(&[]));
    }
    let lines = guest.sh("grep requests /proc/interrupts")?.ok()?.text();
    let counts = lines.lines().flat_map(|line| line.split_whitespace().skip(1));
    Ok(counts.map_while(|word| word.parse::<u64>().ok()).sum())
}

/// The host reads what the guests wrote, and both guests see what it writes.
fn edit_on_the_host(lab: &Lab) -> Result<()> {
    let name = lab.host("done");
    let text = fs::read_to_string(&name).with_context(|| format!("no {}", name.display()))?;
    ensure!(text == "two\n", "the host reads {text:?}");
    println!("  The host reads it too\n    host$ cat {}\n        two   ✓", name.display());
    let look = "stat -c '%s bytes' /mnt/done; cat /mnt/done";
    for guest in [&lab[0], &lab[1]] {
        guest.sh(&format!("{look}; {look}"))?.ok()?;
    }
    fs::write(&name, "twelve\n")?;
    println!("  and edits it\n    host$ echo twelve > {}", name.display());
    for (letter, guest) in [("A", &lab[0]), ("B", &lab[1])] {
        let text = guest.sh(look)?.ok()?.text();
        ensure!(text == "7 bytes\ntwelve\n", "{letter} sees {text:?} after the host's edit");
        println!("    {letter}$ {look}");
        text.lines().for_each(|line| println!("        {line}   ✓"));
    }
    Ok(())
}

fn compare(rows: &[(&str, Tally)]) {
    println!(
        "  {:24} {:>22} {:>24} {:>14}",
        "", "changes seen at once", "requests for the looks", "time of one"
    );
    for (name, tally) in rows {
        let seen = format!("{} of {}", tally.seen, ACTS.len());
        let requests = format!("{} for {}", tally.requests, tally.looks);
        let tenths = tally.nanoseconds / 100;
        let time = format!("{}.{} µs", tenths / 10, tenths % 10);
        println!("  {name:24} {seen:>22} {requests:>24} {time:>14}");
    }
}
