//! Counting across threads.

use super::{Counters, Counts};
use crate::abi::Opcode;
use crate::errno;
use crate::failure::Failure;

fn counts(counters: &Counters, opcode: Opcode) -> Counts {
    let snapshot = counters.snapshot();
    snapshot.opcodes.into_iter().find(|(op, _)| *op == opcode).expect("a known opcode").1
}

#[test]
fn every_opcode_has_a_slot_of_its_own() {
    let counters = Counters::default();
    for (index, &opcode) in Opcode::ALL.iter().enumerate() {
        for _ in 0..=index {
            drop(counters.enter(Some(opcode)));
        }
    }
    let snapshot = counters.snapshot();
    let expected = Opcode::ALL.iter().zip(1..);
    let expected = expected.map(|(&op, requests)| (op, Counts { requests, errors: 0 }));
    assert_eq!(snapshot.opcodes, expected.collect::<Vec<_>>());
    assert_eq!(snapshot.unknown, Counts::default());
}

#[test]
fn what_threads_count_is_added_up() {
    let counters = Counters::default();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let _in_flight = counters.enter(Some(Opcode::Read));
                    counters.bytes_read(10);
                    counters.bytes_written(7);
                }
            });
        }
    });
    assert_eq!(counts(&counters, Opcode::Read), Counts { requests: 2000, errors: 0 });
    let snapshot = counters.snapshot();
    assert_eq!(snapshot.bytes_read, 20_000);
    assert_eq!(snapshot.bytes_written, 14_000);
    assert_eq!(snapshot.in_flight, 0);
}

#[test]
fn a_request_is_in_flight_until_its_guard_goes() {
    let counters = Counters::default();
    let first = counters.enter(Some(Opcode::Lookup));
    let second = counters.enter(None);
    assert_eq!(counters.snapshot().in_flight, 2);
    drop(first);
    assert_eq!(counters.snapshot().in_flight, 1);
    drop(second);
    assert_eq!(counters.snapshot().in_flight, 0);
    assert_eq!(counters.snapshot().unknown, Counts { requests: 1, errors: 0 });
}

#[test]
fn errors_and_malformed_requests_are_told_apart() {
    let counters = Counters::default();
    counters.outcome(Some(Opcode::Lookup), &Ok(()));
    counters.outcome::<()>(Some(Opcode::Lookup), &Err(Failure::Errno(errno::ENOENT)));
    assert_eq!(counters.snapshot().malformed, 0);
    counters.outcome::<()>(Some(Opcode::Lookup), &Err(Failure::Malformed));
    assert_eq!(counters.snapshot().malformed, 1);
    assert_eq!(counts(&counters, Opcode::Lookup).errors, 2);
}
