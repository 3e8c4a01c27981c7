//! A daemon under load.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};
use samepage_tests::framework::daemon::{Daemon, Program, Spec};
use serde::Serialize;

use crate::drive;
use crate::jobs::{Fixture, Job, Lane, Lanes};
use crate::process::{Cost, peak_kib};
use crate::session::{self, ROOM, Session};
use crate::wire::{self, Request};

/// Places in each queue.
const MOST_DEPTH: usize = 64;

/// A daemon, and a guest that has mounted.
pub(crate) struct Subject {
    pub(crate) name: String,
    session: Session,
    pid: u32,
    _daemon: Daemon,
}

/// What one load came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Operations a second.
    pub(crate) rate: f64,
    /// Microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Microseconds of processor time of the daemon, an operation.
    pub(crate) cpu: f64,
    /// Context switches of the daemon, an operation.
    pub(crate) switches: f64,
}

impl Subject {
    /// Starts a daemon and mounts.
    ///
    /// # Errors
    /// It cannot be started, or has not so many queues.
    pub(crate) fn start(
        command: &OsString,
        fixture: &Fixture,
        number: usize,
        (queues, depth): (usize, usize),
        cache: &str,
    ) -> Result<Self> {
        let program = Program::parse(command)?;
        // All that both have: extended attributes; nothing that costs time and protects nobody here.
        let mut arguments: Vec<OsString> = vec!["--xattr".into()];
        if program != Program::Samepaged {
            arguments.extend(["--sandbox", "none", "--seccomp", "none"].map(Into::into));
        }
        let spec = Spec {
            program,
            share: fixture.share(),
            tag: "bench".into(),
            cache: Some(cache.into()),
            arguments,
            table: None,
            environment: Vec::new(),
            echo: false,
        };
        let name = command.to_string_lossy().into_owned();
        let (socket, log) = (format!("{number}.sock"), format!("{number}.log"));
        let mut daemon =
            Daemon::start(&name, &spec, &fixture.beside(&socket), &fixture.beside(&log))?;
        let pid = daemon.process().pid();
        let session =
            Session::mount(&daemon, queues, depth.min(MOST_DEPTH)).with_context(|| name.clone())?;
        Ok(Self { name, session, pid, _daemon: daemon })
    }

    /// # Errors
    /// What the job needs is not there.
    pub(crate) fn prepare(&mut self, job: &Job) -> Result<Lanes> {
        job.prepare(&mut self.session).with_context(|| format!("{}: {}", self.name, job.name))
    }

    /// What the daemon answers to two operations of a job, as far as daemons must agree.
    ///
    /// # Errors
    /// An answer that the job did not expect.
    pub(crate) fn answers(&mut self, lanes: &Lanes) -> Result<Vec<u8>> {
        let (mut request, mut reply, mut all) = (Request::default(), Vec::new(), Vec::new());
        let queue = &mut self.session.connection.queues[0];
        let mut lane: Box<dyn Lane> = lanes(0);
        for _ in 0..2 {
            let mut room = lane.next(None, &mut request)?;
            while let Some(bytes) = room {
                session::ask(queue, &request, bytes.min(ROOM), &mut reply)?;
                let answer = wire::answer(&reply)?;
                all.extend(wire::essence(request.opcode(), answer)?);
                room = lane.next(Some(answer), &mut request)?;
            }
        }
        Ok(all)
    }

    /// Loads the daemon with `depth` operations in flight for `time`, after a quarter of that to warm up.
    ///
    /// # Errors
    /// An answer that the job did not expect.
    pub(crate) fn load(&mut self, lanes: &Lanes, depth: usize, time: Duration) -> Result<Sample> {
        self.run(lanes, depth, time / 4)?;
        let before = Cost::of(self.pid)?;
        let load = self.run(lanes, depth, time)?;
        let cost = Cost::of(self.pid)?.since(before);
        let operations = load.latencies.len() as f64;
        let microseconds = |quantile| load.latencies.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Sample {
            rate: operations / load.elapsed.as_secs_f64(),
            p50: microseconds(0.5),
            p99: microseconds(0.99),
            p999: microseconds(0.999),
            cpu: cost.cpu as f64 / 1e3 / operations,
            switches: cost.switches as f64 / operations,
        })
    }

    fn run(&mut self, lanes: &Lanes, depth: usize, time: Duration) -> Result<drive::Load> {
        let queues = &mut self.session.connection.queues;
        let count = queues.len();
        // Dealt out like cards.
        let dealt = (0..count)
            .map(|queue| (queue..depth).step_by(count).map(lanes).collect::<Vec<_>>())
            .collect();
        drive::run(queues, dealt, time).with_context(|| self.name.clone())
    }

    /// The most memory, in KiB, that it ever had.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn peak_kib(&self) -> Result<u64> {
        peak_kib(self.pid)
    }
}
