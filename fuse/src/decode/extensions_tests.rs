//! Extensions as Linux lays them out, and as it never would.

use zerocopy::IntoBytes;

use super::take;
use crate::abi::{ExtHeader, InitFlags, Secctx};
use crate::decode::Fields;
use crate::filesystem::Extensions;
use crate::server::Wire;

fn wire(minor: u32) -> Wire {
    Wire::new(minor, InitFlags::SECURITY_CTX | InitFlags::CREATE_SUPP_GROUP)
}

/// Decodes `bytes` with a `total_extlen` that is right.
fn decode(bytes: &[u8], wire: Wire) -> Option<Extensions<'_>> {
    let extlen = if wire.minor() >= 38 { bytes.len() / 8 } else { 0 };
    take(&mut Fields::new(bytes), extlen as u16, wire).ok()
}

fn record(size: usize, kind: u32, body: &[u8]) -> Vec<u8> {
    [ExtHeader { size: size as u32, kind }.as_bytes(), body].concat()
}

fn context(name: &[u8], label: &[u8]) -> Vec<u8> {
    let head = Secctx { size: label.len() as u32, padding: 0 };
    let mut bytes = [head.as_bytes(), name, b"\0", label].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn contexts(all: &[Vec<u8>]) -> Vec<u8> {
    let body = all.concat();
    record(8 + body.len(), all.len() as u32, &body)
}

fn groups(groups: &[u32]) -> Vec<u8> {
    let mut body = (groups.len() as u32).to_le_bytes().to_vec();
    body.extend(groups.iter().flat_map(|group| group.to_le_bytes()));
    body.resize(body.len().next_multiple_of(8), 0);
    record(8 + body.len(), ExtHeader::GROUPS, &body)
}

#[test]
fn contexts_and_a_group_are_read() {
    let contexts = contexts(&[context(b"security.a", b"one"), context(b"security.bcd", b"")]);
    let bytes = [contexts, groups(&[27])].concat();
    let extensions = decode(&bytes, wire(45)).expect("well formed");
    assert_eq!(extensions.supplementary_gid, Some(27));
    assert_eq!(extensions.security, [(c"security.a", &b"one"[..]), (c"security.bcd", b"")]);
}

#[test]
fn nothing_and_an_empty_list_of_contexts_are_well_formed() {
    for bytes in [vec![], contexts(&[])] {
        let extensions = decode(&bytes, wire(45)).expect("well formed");
        assert_eq!(extensions.supplementary_gid, None);
        assert!(extensions.security.is_empty());
    }
}

#[test]
fn before_7_38_contexts_stand_without_their_length() {
    let bytes = contexts(&[context(b"security.a", b"one")]);
    let extensions = decode(&bytes, wire(37)).expect("well formed");
    assert_eq!(extensions.security, [(c"security.a", &b"one"[..])]);
    assert!(take(&mut Fields::new(&bytes), 0, wire(38)).is_err(), "7.38 says the length");
}

#[test]
fn the_length_must_be_all_that_is_left() {
    let bytes = groups(&[27]);
    for extlen in [0, 1, 3, u16::MAX] {
        assert!(take(&mut Fields::new(&bytes), extlen, wire(45)).is_err(), "{extlen}");
    }
}

#[test]
fn what_was_not_negotiated_is_refused() {
    let only = |flag| Wire::new(45, flag);
    let context = contexts(&[context(b"security.a", b"one")]);
    assert!(decode(&context, only(InitFlags::CREATE_SUPP_GROUP)).is_none());
    assert!(decode(&context, only(InitFlags::SECURITY_CTX)).is_some());
    assert!(decode(&groups(&[27]), only(InitFlags::SECURITY_CTX)).is_none());
    assert!(decode(&groups(&[27]), only(InitFlags::CREATE_SUPP_GROUP)).is_some());
}

#[test]
fn malformed_records_are_refused() {
    let context = context(b"security.a", b"one");
    let whole = contexts(std::slice::from_ref(&context));
    for (why, bytes) in [
        ("half a header", vec![0; 4]),
        ("size below the header's", record(7, 0, &[])),
        ("size 0", record(0, 0, &[])),
        ("size beyond the end", record(24, 0, &[0; 8])),
        ("absurd size", record(u32::MAX as usize, 0, &[0; 8])),
        ("unknown kind", record(8, 33, &[])),
        ("no group", groups(&[])),
        ("two groups", groups(&[1, 2])),
        ("a second group", [groups(&[1]), groups(&[2])].concat()),
        ("a second list of contexts", [whole.clone(), whole].concat()),
        ("fewer contexts than counted", record(8 + context.len(), 2, &context)),
        ("more contexts than counted", record(8 + context.len(), 0, &context)),
        (
            "label beyond the end",
            record(24, 1, &[99, 0, 0, 0, 0, 0, 0, 0, b's', 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("no name", record(24, 1, &[0; 16])),
        ("name without end", record(24, 1, &[1; 16])),
        ("padding missing", record(18, 1, &[0, 0, 0, 0, 0, 0, 0, 0, b's', 0])),
    ] {
        // A length that is no multiple of 8 cannot be said in `total_extlen`: 7.37 has no such field.
        assert!(decode(&bytes, wire(37)).is_none(), "{why}");
    }
}
