//! What the daemon has to tell about itself.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use coherence::Engine;
use coherence::watch::{Figures as Watch, Watcher};
use fuse::Counters as Requests;

use super::text::{Kind, Text};
use crate::transport::Counters as Transport;

/// `/proc/self`, as far as it is needed: opened before a sandbox hides it.
#[derive(Debug)]
pub struct ProcessFiles {
    fd: Option<OwnedFd>,
    status: Option<File>,
}

impl ProcessFiles {
    /// With `/proc/self/fd` and `/proc/self/status`, where they can no longer be opened.
    #[must_use]
    pub fn open(opened: Option<(OwnedFd, File)>) -> Self {
        match opened {
            Some((fd, status)) => Self { fd: Some(fd), status: Some(status) },
            None => Self {
                fd: File::open("/proc/self/fd").ok().map(OwnedFd::from),
                status: File::open("/proc/self/status").ok(),
            },
        }
    }

    fn status(&self) -> String {
        let mut text = vec![0; 16 << 10];
        let read = self.status.as_ref().map(|file| file.read_at(&mut text, 0));
        text.truncate(read.and_then(Result::ok).unwrap_or(0));
        String::from_utf8_lossy(&text).into_owned()
    }

    fn descriptors(&self) -> io::Result<u64> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let names = rustix::fs::Dir::new(rustix::fs::openat(
            fd,
            ".",
            rustix::fs::OFlags::RDONLY
                | rustix::fs::OFlags::DIRECTORY
                | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?)?;
        // "." and "..", and the listing's own.
        Ok((names.count() as u64).saturating_sub(3))
    }
}

/// What figures are made of.
pub struct Sources {
    /// What the guest is called.
    pub guest: String,
    /// The shared directory.
    pub directory: String,
    /// What the server has counted.
    pub requests: Arc<Requests>,
    /// What the transport has counted.
    pub transport: Arc<Transport>,
    /// How many stretches of files the guest has locked, and how many of its requests wait for a lock.
    pub locks: Box<dyn Fn() -> (usize, usize) + Send + Sync>,
    /// What the kernel tells of this process.
    pub process: ProcessFiles,
    /// The version table, and who watches for changes on the host.
    pub table: Option<(Arc<Engine>, Arc<Watcher>)>,
}

/// The page at `/metrics`.
#[must_use]
pub fn page(sources: &Sources) -> String {
    let mut text = Text::default();
    text.family("samepaged_build_info", Kind::Gauge, "The daemon's version.");
    text.sample("samepaged_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("samepaged_share_info", Kind::Gauge, "Whom the daemon serves, and what.");
    let labels = [("guest", sources.guest.as_str()), ("directory", sources.directory.as_str())];
    text.sample("samepaged_share_info", &labels, 1);
    requests_by_opcode(&mut text, &sources.requests);
    connections(&mut text, &sources.transport);
    locks(&mut text, (sources.locks)());
    if let Some((engine, watcher)) = &sources.table {
        text.family("samepaged_table_alive", Kind::Gauge, "Changes can be announced.");
        text.sample("samepaged_table_alive", &[], u64::from(!engine.is_lost()));
        changes_on_the_host(&mut text, &watcher.figures());
    }
    process(&mut text, &sources.process);
    text.finish()
}

/// The answer at `/health`: fine, or what is wrong, which guests feel in some way.
///
/// # Errors
/// What is wrong, in one line.
pub fn health(sources: &Sources) -> Result<(), String> {
    let Some((engine, watcher)) = &sources.table else { return Ok(()) };
    if engine.is_lost() {
        return Err("the version table is lost: every change is refused; restart the daemon".into());
    }
    if !watcher.is_alive() {
        return Err("changes on the host are not watched at the moment: nothing is cached".into());
    }
    Ok(())
}

fn locks(text: &mut Text, (held, waiting): (usize, usize)) {
    let name = "samepaged_locked_ranges";
    text.family(name, Kind::Gauge, "Stretches of files that the guest has locked (fcntl).");
    text.sample(name, &[], held);
    let name = "samepaged_lock_waiters";
    text.family(name, Kind::Gauge, "Requests that wait for a lock.");
    text.sample(name, &[], waiting);
}

fn requests_by_opcode(text: &mut Text, requests: &Requests) {
    let snapshot = requests.snapshot();
    let named = snapshot.opcodes.iter().map(|(opcode, counts)| (opcode.name(), *counts));
    let all: Vec<_> = named.chain([("unknown", snapshot.unknown)]).collect();

    let name = "samepaged_requests_total";
    text.family(name, Kind::Counter, "FUSE requests that have come, by opcode.");
    for (opcode, counts) in &all {
        text.sample(name, &[("opcode", opcode)], counts.requests);
    }
    let name = "samepaged_request_errors_total";
    text.family(
        name,
        Kind::Counter,
        "Requests answered with an error, ENOENT and its like included.",
    );
    for (opcode, counts) in &all {
        text.sample(name, &[("opcode", opcode)], counts.errors);
    }
    for (name, kind, help, value) in [
        (
            "samepaged_malformed_requests_total",
            Kind::Counter,
            "Requests that broke the protocol.",
            snapshot.malformed,
        ),
        (
            "samepaged_read_bytes_total",
            Kind::Counter,
            "Bytes of file data sent to the guest.",
            snapshot.bytes_read,
        ),
        (
            "samepaged_written_bytes_total",
            Kind::Counter,
            "Bytes of file data written for the guest.",
            snapshot.bytes_written,
        ),
        (
            "samepaged_requests_in_progress",
            Kind::Gauge,
            "Requests being served.",
            snapshot.in_flight,
        ),
    ] {
        text.family(name, kind, help);
        text.sample(name, &[], value);
    }
}

fn connections(text: &mut Text, transport: &Transport) {
    let name = "samepaged_connections_total";
    text.family(name, Kind::Counter, "VMMs that have connected.");
    text.sample(name, &[], transport.connections());
    let name = "samepaged_connected";
    text.family(name, Kind::Gauge, "A VMM is connected.");
    text.sample(name, &[], u64::from(transport.is_connected()));
    let name = "samepaged_stopped_queues_total";
    text.family(name, Kind::Counter, "Queues stopped because the guest broke the protocol.");
    text.sample(name, &[], transport.stopped_queues());
}

fn changes_on_the_host(text: &mut Text, watch: &Watch) {
    let name = "samepaged_watch_alive";
    text.family(name, Kind::Gauge, "Changes on the host are watched, so stamps are given.");
    text.sample(name, &[("source", watch.source)], u64::from(watch.alive));
    let counters = [
        ("events", "File events read.", watch.events),
        ("own_events", "File events of announced changes of this daemon's own.", watch.own_events),
        ("moved_slots", "Slots moved because of file events.", watch.moved),
        ("sweeps", "Sweeps because of lost events or changed mounts.", watch.sweeps),
        ("failures", "Failures of the source of events.", watch.failures),
        ("refused_systems", "File systems served without stamps.", watch.refused_systems),
        ("refused_inodes", "Times an inode was served without a stamp.", watch.refused_inodes),
    ];
    for (name, help, value) in counters {
        let name = format!("samepaged_watch_{name}_total");
        text.family(&name, Kind::Counter, help);
        text.sample(&name, &[], value);
    }
    let name = "samepaged_watch_inodes";
    text.family(name, Kind::Gauge, "Inodes with a watch of their own.");
    text.sample(name, &[], watch.watches);
}

/// The process's own figures, under the names that Prometheus' libraries use. Left out where /proc is out of reach.
fn process(text: &mut Text, own: &ProcessFiles) {
    let status = own.status();
    let resident = status_field(&status, "VmRSS:").map(|kib| kib * 1024);
    let threads = status_field(&status, "Threads:");
    let descriptors = own.descriptors().ok();
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory size in bytes.", resident),
        ("process_threads", "Number of threads.", threads),
        ("process_open_fds", "Number of open file descriptors.", descriptors),
    ] {
        if let Some(value) = value {
            text.family(name, Kind::Gauge, help);
            text.sample(name, &[], value);
        }
    }
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
