//! Runs random operations in a guest and writes them down in the memory that all guests share.
//!
//! `samepage-recorder ROOT SEED FIRST-LOG THREADS coherent|stock|looker [contents]`: each thread has
//! a log of its own, beginning with the first. It works until its log is full or everybody is told
//! to stop. With `contents` little but the contents of files is changed and looked at.
//!
//! `samepage-recorder tree ROOT`: prints everything that can be seen below a directory.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use samepage_history::execute::Place;
use samepage_history::generate::{Generator, Mix, Role};
use samepage_history::{Shared, tree};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samepage-recorder: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    if let [word, root] = words
        && word == "tree"
    {
        print!("{}", tree::describe(Path::new(root)));
        return Ok(());
    }
    let [root, seed, first, threads, role, mix @ ..] = words else {
        bail!(
            "usage: samepage-recorder ROOT SEED FIRST-LOG THREADS coherent|stock|looker [contents]"
        )
    };
    let mix = if mix.is_empty() { Mix::Everything } else { Mix::Contents };
    let role = match role.as_str() {
        "stock" => Role::Stock,
        "looker" => Role::Looker,
        _ => Role::Coherent,
    };
    let (seed, first, threads): (u64, u32, u32) = (seed.parse()?, first.parse()?, threads.parse()?);
    let shared = find_memory()?;
    let place = Place::open(Path::new(root), role == Role::Stock)
        .with_context(|| format!("{root} is not prepared"))?;
    while !shared.may_go() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::scope(|scope| {
        for log in first..first + threads {
            let (shared, place) = (&shared, &place);
            let generator = Generator::new(seed, log, role, mix);
            let pause = (role == Role::Looker).then_some(BETWEEN_LOOKS);
            scope.spawn(move || record(shared, place, generator, (log, pause)));
        }
    });
    Ok(())
}

/// Who only looks leaves time to others, above all to the host, and room in the log.
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);

fn record(
    shared: &Shared,
    place: &Place,
    mut generator: Generator,
    (log, pause): (u32, Option<Duration>),
) {
    let mut writer = shared.writer(log);
    while !shared.shall_stop() {
        if let Some(pause) = pause {
            thread::sleep(pause);
        }
        let operation = generator.operation();
        if !writer.record(&operation, || place.execute(&operation)) {
            break;
        }
    }
}

/// The memory is BAR 2 of an ivshmem device; there may be others.
fn find_memory() -> Result<Shared> {
    for device in fs::read_dir("/sys/bus/pci/devices")? {
        let device = device?.path();
        if is_ivshmem(&device) {
            let bar = device.join("resource2");
            let shared = Shared::open(&bar);
            let shared = shared.with_context(|| format!("cannot map {}", bar.display()))?;
            if shared.is_prepared() {
                return Ok(shared);
            }
        }
    }
    bail!("no PCI device holds the shared memory")
}

fn is_ivshmem(device: &Path) -> bool {
    let says = |file: &str, value: &str| {
        fs::read_to_string(device.join(file)).is_ok_and(|text| text.trim_end() == value)
    };
    says("vendor", "0x1af4") && says("device", "0x1110")
}
