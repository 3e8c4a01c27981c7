//! What the daemon has to tell about itself.

use std::fs;

use fuse::Counters as Requests;

use super::text::{Kind, Text};
use crate::transport::Counters as Transport;

/// The page at `/metrics`.
pub fn page(requests: &Requests, transport: &Transport) -> String {
    let mut text = Text::default();
    text.family("samepaged_build_info", Kind::Gauge, "The daemon's version.");
    text.sample("samepaged_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    requests_by_opcode(&mut text, requests);
    connections(&mut text, transport);
    process(&mut text);
    text.finish()
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
    let name = "samepaged_stopped_queues_total";
    text.family(name, Kind::Counter, "Queues stopped because the guest broke the protocol.");
    text.sample(name, &[], transport.stopped_queues());
}

/// The process's own figures, under the names that Prometheus' libraries use. Left out where /proc is out of reach.
fn process(text: &mut Text) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status_field(&status, "VmRSS:").map(|kib| kib * 1024);
    let threads = status_field(&status, "Threads:");
    // One of them is the listing's own.
    let descriptors =
        fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1) as u64);
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
