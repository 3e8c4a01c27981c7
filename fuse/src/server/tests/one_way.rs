//! Requests that never get a reply, whatever is wrong with them.

use super::{Guest, Hole};
use crate::abi::{BatchForgetIn, ForgetOne, Opcode};
use crate::server::ProtocolError;
use crate::testing::{MemoryReply, RequestBuilder, valid};

fn batch(count: u32, ones: &[ForgetOne]) -> Vec<u8> {
    let request = RequestBuilder::new(Opcode::BatchForget).with(&BatchForgetIn { count, dummy: 0 });
    ones.iter().fold(request, RequestBuilder::with).build()
}

fn send(guest: &Guest, request: &[u8]) -> Vec<String> {
    assert_eq!(guest.try_send(request, 0).0.expect("no error"), 0);
    assert_eq!(guest.try_send(request, 4096).0.expect("no error"), 0);
    let mut calls = guest.calls();
    let second = calls.split_off(calls.len() / 2);
    assert_eq!(calls, second, "the room changes nothing");
    calls
}

#[test]
fn forgets_reach_the_file_system() {
    let guest = Guest::mounted();
    assert_eq!(send(&guest, &valid(Opcode::Forget)), ["forget NodeId(7) 3"]);
    let calls = send(&guest, &valid(Opcode::BatchForget));
    assert_eq!(calls, ["forget NodeId(7) 1", "forget NodeId(8) 2"]);
    assert_eq!(guest.server.counters().snapshot().malformed, 0);
}

#[test]
fn a_long_batch_is_done_to_its_end() {
    let guest = Guest::mounted();
    let ones: Vec<_> = (1..=1000).map(|nodeid| ForgetOne { nodeid, nlookup: nodeid * 2 }).collect();
    let expected: Vec<_> =
        (1..=1000).map(|node| format!("forget NodeId({node}) {}", node * 2)).collect();
    assert_eq!(send(&guest, &batch(1000, &ones)), expected);
}

#[test]
fn interrupts_reach_the_file_system() {
    let guest = Guest::mounted();
    assert_eq!(send(&guest, &valid(Opcode::Interrupt)), ["interrupt 77"]);
    for len in [0, 7, 9] {
        let malformed = RequestBuilder::new(Opcode::Interrupt).bytes(&vec![0; len]).build();
        assert!(send(&guest, &malformed).is_empty(), "{len}");
    }
    assert_eq!(guest.server.counters().snapshot().malformed, 6);
}

#[test]
fn answers_to_nothing_are_dropped() {
    let guest = Guest::mounted();
    assert!(send(&guest, &valid(Opcode::NotifyReply)).is_empty());
    assert!(send(&guest, &RequestBuilder::new(Opcode::NotifyReply).build()).is_empty());
}

#[test]
fn malformed_forgets_are_counted_and_dropped() {
    let guest = Guest::mounted();
    let one = ForgetOne { nodeid: 5, nlookup: 1 };
    let forget = |bytes: &[u8]| RequestBuilder::new(Opcode::Forget).bytes(bytes);
    let mut wrong_length = valid(Opcode::Forget);
    wrong_length[0] += 1;
    let malformed = [
        forget(&[]).build(),
        forget(&[0; 7]).build(),
        forget(&[0; 9]).build(),
        forget(&[0; 8]).node(0).build(),
        wrong_length,
        RequestBuilder::new(Opcode::BatchForget).build(),
        RequestBuilder::new(Opcode::BatchForget).bytes(&[0; 7]).build(),
        batch(1, &[]),
        batch(0, &[one]),
        batch(3, &[one, one]),
        batch(u32::MAX, &[one]),
        RequestBuilder::new(Opcode::BatchForget).bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 9]).build(),
        batch(1 << 17, &vec![one; 1 << 17]),
    ];
    for (index, request) in (1..).zip(&malformed) {
        assert!(send(&guest, request).is_empty(), "{index}");
        assert_eq!(guest.server.counters().snapshot().malformed, 2 * index);
    }
}

#[test]
fn a_batch_skips_nodes_that_are_none() {
    let guest = Guest::mounted();
    let ones = [ForgetOne { nodeid: 0, nlookup: 1 }, ForgetOne { nodeid: 2, nlookup: 1 }];
    assert_eq!(send(&guest, &batch(2, &ones)), ["forget NodeId(2) 1"]);
}

#[test]
fn memory_that_is_not_there_stops_the_queue() {
    let guest = Guest::mounted();
    let outcome = guest.server.handle(&mut Hole(48), &mut MemoryReply::new(4096), None);
    assert!(matches!(outcome, Err(ProtocolError::Memory(_))));
    assert_eq!(guest.server.counters().snapshot().malformed, 1);
}
