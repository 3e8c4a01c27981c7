//! What a mapping for writing (DAX) costs those who look at the file in another coherent guest, and whoever has it: while it
//! may be stored into, nobody caches its times and contents.

// Figures for people: nobody reads the sixteenth digit.
#![allow(clippy::cast_precision_loss)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use samepage_bench::Spread;
use samepage_bench::record::{keep, load_average};
use samepage_tests::framework::{Command, Guest, Lab, cargo};
use serde::Serialize;

/// A directory of the share.
const FILES: &str = "files";
const WINDOW: &str = "128M";
/// Each file takes a mapping of its own.
const MOST_FILES: usize = 64;
/// How often the files are looked at in one state; the quickest time counts.
const TIMES: usize = 5;

/// Compares what stat(2), read(2), write(2), and truncate(2) to nothing and back, of files cost in a coherent guest while
/// another guest has the files mapped for writing, while it had and has closed them, and while it has not.
///
/// All by turns, round by round. The table shows the median and in brackets the extremes; `times` is against the files that
/// are not mapped, `requests` is what one look asks the host.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench mapped", max_term_width = 100)]
struct Options {
    /// Files, of a page each
    #[arg(long, default_value_t = 32)]
    files: usize,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The guests' kernel
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// Where to write mapped.json
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

/// What the one guest does with the files.
const STATES: [&str; 3] = ["not mapped", "stored into, closed", "mapped for writing"];
/// What the other does.
const LOOKS: [&str; 4] = ["stat", "read-each", "write-each", "cut-each"];

/// What was measured of one look in one state, round by round.
#[derive(Debug, Default, Serialize)]
struct Cost {
    nanoseconds: Vec<f64>,
    requests: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Results {
    kernel: String,
    files: usize,
    load: [String; 2],
    /// By look, then by state.
    costs: [[Cost; STATES.len()]; LOOKS.len()],
}

fn main() -> ExitCode {
    samepage_bench::exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    ensure!(options.files > 0 && options.rounds > 0, "there is nothing to measure");
    ensure!(options.files <= MOST_FILES, "no more than {MOST_FILES} files can be mapped");
    let before = load_average()?;
    let lab = Lab::builder().guests(2).coherent().dax(WINDOW, "inode").kernel(&options.kernel);
    let lab = lab.program(cargo::mapper()?, "/bin/mapper").program(cargo::probe()?, "/bin/probe");
    let lab = lab.boot()?;
    fs::create_dir(lab.host(FILES))?;
    for number in 0..options.files {
        fs::write(lab.host(FILES).join(number.to_string()), [0; 4096])?;
    }
    let mut costs = <[[Cost; STATES.len()]; LOOKS.len()]>::default();
    for _ in 0..options.rounds {
        for state in 0..STATES.len() {
            in_state(&lab, state, options.files, || {
                forget(&lab[1])?;
                let looks = LOOKS.iter().zip(&mut costs);
                looks.into_iter().try_for_each(|(look, costs)| costs[state].add(&lab[1], look))
            })?;
        }
    }
    let load = [before, load_average()?];
    let results = Results { kernel: options.kernel.clone(), files: options.files, load, costs };
    results.show();
    keep(&results, &options.out, "mapped.json")?;
    lab.power_off()
}

/// With the inodes the mappings go.
fn forget(guest: &Guest) -> Result<()> {
    guest.sh("echo 3 > /proc/sys/vm/drop_caches")?.ok().map(drop)
}

/// Calls `look` while the first guest does with the files what [`STATES`] says.
fn in_state(
    lab: &Lab,
    state: usize,
    files: usize,
    look: impl FnOnce() -> Result<()>,
) -> Result<()> {
    forget(&lab[0])?;
    if state == 0 {
        return look();
    }
    let before = lab[0].counters()?;
    let holder =
        lab[0].start(Command::sh(format!("exec mapper hold /mnt/{FILES} /mnt/ready /mnt/go")))?;
    wait_for(lab, "ready");
    let mapped = lab[0].counters()?.since(&before);
    ensure!(mapped.requests("SETUPMAPPING") >= files as u64, "not all is mapped: {mapped}");
    let let_go = || -> Result<()> {
        fs::write(lab.host("go"), "")?;
        holder.wait(Instant::now() + Duration::from_mins(2))?.ok()?;
        ["ready", "go"].iter().try_for_each(|name| Ok(fs::remove_file(lab.host(name))?))
    };
    if STATES[state].ends_with("closed") {
        let_go()?;
        look()
    } else {
        look()?;
        let_go()
    }
}

fn wait_for(lab: &Lab, name: &str) {
    while !lab.host(name).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Cost {
    /// Another round: once for the cache, if that may be used, and then so that it counts.
    fn add(&mut self, guest: &Guest, look: &str) -> Result<()> {
        guest.sh(&format!("probe {look} /mnt/{FILES} 1"))?.ok()?;
        let script = format!("probe {look} /mnt/{FILES} {TIMES}");
        let (output, requests) = guest.requests_of(&script)?;
        let text = output.text();
        let numbers = text.split_once(' ').context("the guest says no time")?;
        let (looks, nanoseconds): (f64, f64) = (numbers.0.parse()?, numbers.1.trim().parse()?);
        self.nanoseconds.push(nanoseconds);
        // Those of the open files, and of finding them, are not what is asked here.
        let own = ["LOOKUP", "OPEN", "RELEASE", "OPENDIR", "READDIR", "READDIRPLUS", "RELEASEDIR"];
        self.requests.push(requests.requests_but(&own) as f64 / looks);
        Ok(())
    }
}

impl Results {
    fn show(&self) {
        println!("| look | files in the other guest | µs | times | requests |");
        println!("| --- | --- | ---: | ---: | ---: |");
        for (look, costs) in LOOKS.iter().zip(&self.costs) {
            for (state, cost) in STATES.iter().zip(costs) {
                let micros = cost.nanoseconds.iter().map(|nanoseconds| nanoseconds / 1000.0);
                let micros = Spread::of(micros.collect());
                let times = Spread::of_ratios(&cost.nanoseconds, &costs[0].nanoseconds);
                let requests = Spread::of(cost.requests.clone());
                let name = look.trim_end_matches("-each");
                println!("| {name} | {state} | {micros} | {times} | {requests} |");
            }
        }
        println!("\nload average {} … {}", self.load[0], self.load[1]);
    }
}
