//! The jobs of the posting (<https://lwn.net/Articles/774495/>), whose names say it all.

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::Command;
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::guest::Output;
use serde::{Deserialize, Serialize};

use crate::shares::{Guest, Way};

/// How much is done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Size {
    /// Of each file.
    pub(crate) mib: u32,
    /// Of each run.
    pub(crate) milliseconds: u32,
    /// Jobs of a `multi` run.
    pub(crate) multi: u32,
    pub(crate) rounds: usize,
    /// What the guest has cached may be used.
    pub(crate) warm: bool,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// `read`, `randread`, `write`, `randwrite`.
    how: &'static str,
    engine: &'static str,
    multi: bool,
}

/// What fio says, as far as it is of interest.
#[derive(Deserialize)]
struct Said {
    jobs: Vec<Sums>,
}

/// All jobs of a group together.
#[derive(Deserialize)]
struct Sums {
    /// Of the first job that failed.
    error: i32,
    read: Sum,
    write: Sum,
}

#[derive(Deserialize)]
struct Sum {
    /// A second.
    bw_bytes: f64,
}

/// `mmap(MAP_SHARED)` of a file that may not be cached: FUSE's answer, and 9p's to a writable one.
const NO_MMAP: [&str; 2] = ["No such device", "Invalid argument"];

impl Job {
    /// In the posting's order.
    pub(crate) fn all() -> Vec<Self> {
        let mut jobs = Vec::new();
        for how in ["read", "randread", "write", "randwrite"] {
            for engine in ["psync", "mmap", "libaio"] {
                jobs.extend([false, true].map(|multi| Self { how, engine, multi }));
            }
        }
        jobs
    }

    pub(crate) fn name(&self) -> String {
        let order = if self.how.starts_with("rand") { "" } else { "seq" };
        let multi = if self.multi { "-multi" } else { "" };
        format!("{order}{}-{}{multi}", self.how, self.engine)
    }

    /// MiB in a second, or nothing where the guest's kernel refuses such a mapping, and the requests that it cost, where the
    /// daemon counts them.
    pub(crate) fn run(
        &self,
        guest: &Guest,
        way: &Way,
        size: &Size,
    ) -> Result<(Option<f64>, String)> {
        let problem = || format!("{} over {}", self.name(), way.name);
        let before = guest.counters(way)?;
        let output = guest.run(self.command(way, size)?).with_context(problem)?;
        let requests = match (before, guest.counters(way)?) {
            (Some(before), Some(after)) => after.since(&before).to_string(),
            _ => String::new(),
        };
        if output.status != 0 && self.engine == "mmap" && !way.maps && says_no_mmap(&output) {
            return Ok((None, requests));
        }
        let speed = speed(&output.ok().with_context(problem)?.text()).with_context(problem)?;
        Ok((Some(speed), requests))
    }

    /// Files are there and keep their size; it ends by time, and before each pass what the guest has cached is dropped.
    fn command(&self, way: &Way, size: &Size) -> Result<Command> {
        let fio = tools::fio()?;
        let words = tools::loader(&fio);
        let mut command = Command::new(&words[0]).args(&words[1..]).arg(fio.join("usr/bin/fio"));
        let jobs = if self.multi { size.multi } else { 1 };
        let values = [
            ("name", self.name()),
            ("directory", way.place.clone()),
            ("filename_format", "f.$jobnum".to_owned()),
            ("rw", self.how.to_owned()),
            ("ioengine", self.engine.to_owned()),
            ("size", format!("{}M", size.mib)),
            ("numjobs", jobs.to_string()),
            ("runtime", format!("{}ms", size.milliseconds)),
        ];
        for (option, value) in values {
            command = command.arg(format!("--{option}={value}"));
        }
        if self.engine == "libaio" {
            // Only what is not cached is asynchronous.
            command = command.args(["--iodepth=16", "--direct=1"]);
        }
        command = command.arg(format!("--invalidate={}", u8::from(!size.warm)));
        // Asking the time twice for each 4 KiB costs an emulated guest more than reading them from its memory.
        let always = "--bs=4k --time_based --group_reporting --thread --overwrite=1 --allow_file_create=0 --fallocate=none \
                      --fadvise_hint=0 --gtod_reduce=1 --clocksource=clock_gettime --output-format=json";
        Ok(command.args(always.split_whitespace()).env("HOME", "/tmp").directory("/tmp"))
    }
}

fn says_no_mmap(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &output.text();
    NO_MMAP.iter().any(|error| text.contains(error))
}

/// In MiB/s. Warnings may stand before the JSON.
fn speed(text: &str) -> Result<f64> {
    let json = text.find('{').map(|at| &text[at..]).with_context(|| format!("fio said: {text}"))?;
    let said: Said = serde_json::from_str(json).with_context(|| format!("fio said: {json}"))?;
    let sums = said.jobs.first().context("fio ran no job")?;
    ensure!(sums.error == 0, "fio failed with error {}", sums.error);
    Ok((sums.read.bw_bytes + sums.write.bw_bytes) / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_24_with_the_names_of_the_posting() {
        let names: Vec<_> = Job::all().iter().map(Job::name).collect();
        assert_eq!(names.len(), 24);
        for name in ["seqread-psync", "randread-mmap-multi", "seqwrite-libaio", "randwrite-psync"] {
            assert!(names.iter().any(|job| job == name), "{name}");
        }
    }

    #[test]
    fn a_failed_job_has_no_speed() {
        let said = |error| {
            format!(
                "note: x\n{{\"jobs\": [{{\"error\": {error}, \"read\": {{\"bw_bytes\": 2097152}}, \
                 \"write\": {{\"bw_bytes\": 0}}}}]}}"
            )
        };
        assert!((speed(&said(0)).unwrap() - 2.0).abs() < 1e-9);
        assert!(speed(&said(19)).is_err() && speed("fio: no").is_err());
    }
}
