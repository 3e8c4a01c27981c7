//! A daemon under load.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coherence::View;
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::daemon::{Daemon, Program, Spec, Table};
use serde::Serialize;

use crate::drive;
use crate::jobs::{Fixture, Job, Lane, Lanes};
use crate::process::{Cost, peak_kib};
use crate::session::{self, ROOM, Session};
use crate::syscalls::Syscalls;
use crate::wire::{self, Request};

/// Places in each queue.
const MOST_DEPTH: usize = 64;

/// What is under load: guests that have mounted, each with a daemon of its own.
pub(crate) struct Subject {
    pub(crate) name: String,
    guests: Vec<Guest>,
    // Dropped after the guests.
    _tables: Option<Scratch>,
}

struct Guest {
    session: Session,
    /// From the first word to the daemon until INIT was answered.
    mounted_in: Duration,
    pid: u32,
    _daemon: Daemon,
}

/// How many of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Guests, each with a daemon.
    pub(crate) guests: usize,
    /// Request queues of each.
    pub(crate) queues: usize,
    /// Places in each queue.
    pub(crate) depth: usize,
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
    /// Starts the daemons and mounts.
    ///
    /// # Errors
    /// They cannot be started, or have not so many queues.
    pub(crate) fn start(
        command: &OsStr,
        fixture: &Fixture,
        number: usize,
        size: Size,
        cache: &str,
    ) -> Result<Self> {
        let name = command.to_string_lossy().into_owned();
        let wanted = Wanted::parse(command)?;
        let tables = if wanted.coherent { Some(Scratch::in_memory()?) } else { None };
        let table = tables.as_ref().map(|tables| tables.path().join("table"));
        let start = |guest| {
            wanted.start(
                &name,
                fixture,
                &format!("{number}-{guest}"),
                size,
                (cache, table.as_deref()),
            )
        };
        let guests = (0..size.guests).map(start).collect::<Result<_>>()?;
        Ok(Self { name, guests, _tables: tables })
    }

    /// What makes each guest's lanes.
    ///
    /// # Errors
    /// What the job needs is not there.
    pub(crate) fn prepare(&mut self, job: &Job) -> Result<Vec<Lanes>> {
        let context = || format!("{}: {}", self.name, job.name);
        self.guests
            .iter_mut()
            .map(|guest| job.prepare(&mut guest.session).with_context(context))
            .collect()
    }

    /// What the first daemon answers to two operations of a job, as far as daemons must agree.
    ///
    /// # Errors
    /// An answer that the job did not expect.
    pub(crate) fn answers(&mut self, lanes: &[Lanes]) -> Result<Vec<u8>> {
        let (mut request, mut reply, mut all) = (Request::default(), Vec::new(), Vec::new());
        let (Some(guest), Some(lanes)) = (self.guests.first_mut(), lanes.first()) else {
            bail!("no guests");
        };
        let plus = guest.session.plus();
        let queue = &mut guest.session.connection.queues[0];
        let mut lane: Box<dyn Lane> = lanes(0);
        for _ in 0..2 {
            let mut room = lane.next(None, &mut request)?;
            while let Some(bytes) = room {
                session::ask(queue, &request, bytes.min(ROOM), &mut reply)?;
                let answer = wire::answer(&reply)?;
                all.extend(wire::essence(request.opcode(), answer, plus)?);
                room = lane.next(Some(answer), &mut request)?;
            }
        }
        Ok(all)
    }

    /// Loads all daemons, each with `depth` operations in flight, for `time`, after a quarter of that to warm up.
    ///
    /// # Errors
    /// An answer that the job did not expect.
    pub(crate) fn load(&mut self, lanes: &[Lanes], depth: usize, time: Duration) -> Result<Sample> {
        self.run(lanes, depth, time / 4)?;
        let before = self.cost()?;
        let load = self.run(lanes, depth, time)?;
        let cost = self.cost()?.since(before);
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

    /// System calls of the daemons, an operation, in a load as [`Self::load`] makes it.
    ///
    /// # Errors
    /// They cannot be counted; an answer that the job did not expect.
    pub(crate) fn syscalls(
        &mut self,
        lanes: &[Lanes],
        depth: usize,
        time: Duration,
    ) -> Result<f64> {
        let pids: Vec<u32> = self.guests.iter().map(|guest| guest.pid).collect();
        let counting = Syscalls::begin(&pids)?;
        let load = self.run(lanes, depth, time)?;
        Ok(counting.end()? as f64 / load.latencies.len() as f64)
    }

    /// How long the first guest's mount took, in milliseconds.
    pub(crate) fn mounted_in(&self) -> f64 {
        self.guests.first().map_or(f64::NAN, |guest| guest.mounted_in.as_secs_f64() * 1e3)
    }

    /// The first guest, and its daemon's process.
    pub(crate) fn first(&mut self) -> Result<(&mut Session, u32)> {
        let guest = self.guests.first_mut().context("no guests")?;
        Ok((&mut guest.session, guest.pid))
    }

    fn run(&mut self, lanes: &[Lanes], depth: usize, time: Duration) -> Result<drive::Load> {
        let mut work = Vec::new();
        for (number, (guest, lanes)) in self.guests.iter_mut().zip(lanes).enumerate() {
            let queues = &mut guest.session.connection.queues;
            let count = queues.len();
            for (at, queue) in queues.iter_mut().enumerate() {
                // Dealt out like cards; and no two guests have one of the same number.
                let dealt = (at..depth).step_by(count).map(|lane| lanes(number * depth + lane));
                work.push((queue, dealt.collect()));
            }
        }
        drive::run(work, time).with_context(|| self.name.clone())
    }

    fn cost(&self) -> Result<Cost> {
        self.guests.iter().try_fold(Cost::default(), |sum, guest| Ok(sum.and(Cost::of(guest.pid)?)))
    }

    /// The most memory, in KiB, that the daemons ever had.
    ///
    /// # Errors
    /// One has ended.
    pub(crate) fn peak_kib(&self) -> Result<u64> {
        self.guests.iter().map(|guest| peak_kib(guest.pid)).sum()
    }
}

/// What a command asks for.
struct Wanted {
    program: Program,
    arguments: Vec<OsString>,
    /// On a version table, with guests that look at it.
    coherent: bool,
}

impl Wanted {
    fn parse(command: &OsStr) -> Result<Self> {
        let words = shlex::bytes::split(command.as_bytes()).unwrap_or_default();
        let (first, rest) =
            words.split_first().map_or((&[][..], &[][..]), |(first, rest)| (&first[..], rest));
        let (program, known) = match first {
            b"coherent" | b"samepaged" => (Program::Samepaged, true),
            b"virtiofsd" => (Program::Virtiofsd, true),
            _ => (Program::parse(command)?, false),
        };
        // All that both have: extended attributes; nothing that costs time and protects nobody here.
        let mut arguments: Vec<OsString> = vec!["--xattr".into()];
        if program != Program::Samepaged {
            arguments.extend(["--sandbox", "none", "--seccomp", "none"].map(Into::into));
        }
        if known {
            arguments.extend(rest.iter().cloned().map(OsString::from_vec));
        }
        Ok(Self { program, arguments, coherent: first == b"coherent" })
    }

    fn start(
        &self,
        name: &str,
        fixture: &Fixture,
        number: &str,
        size: Size,
        (cache, table): (&str, Option<&Path>),
    ) -> Result<Guest> {
        let spec = Spec {
            program: self.program.clone(),
            share: fixture.share(),
            tag: "bench".into(),
            cache: Some(cache.into()),
            arguments: self.arguments.clone(),
            table: table.map(Table::named),
            environment: Vec::new(),
            user: None,
            echo: false,
        };
        let (socket, log) = (format!("{number}.sock"), format!("{number}.log"));
        let mut daemon =
            Daemon::start(name, &spec, &fixture.beside(&socket), &fixture.beside(&log))?;
        let pid = daemon.process().pid();
        let id = table.map(View::open).transpose()?.map(|view| view.header().id);
        let begun = Instant::now();
        let session = Session::mount(&daemon, (size.queues, size.depth.min(MOST_DEPTH)), id)
            .with_context(|| name.to_owned())?;
        let mounted_in = begun.elapsed();
        Ok(Guest { session, mounted_in, pid, _daemon: daemon })
    }
}
