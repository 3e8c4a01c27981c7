//! Whatever a guest writes: no panic, and every answer is consistent (`testing::fuzz::check`).

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::abi::Opcode;
use crate::testing::{fuzz, valid};

/// A change to one place of a request.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Number(Index, u32),
    Remove(Index),
    Insert(Index, Vec<u8>),
    Cut(Index),
}

impl Change {
    fn apply(&self, request: &mut Vec<u8>) {
        let place = |index: &Index, request: &[u8]| index.index(request.len() + 1);
        match self {
            Self::Set(index, byte) => {
                let at = place(index, request);
                request.splice(at..(at + 1).min(request.len()), [*byte]);
            }
            Self::Number(index, number) => {
                let at = place(index, request) & !3;
                request.splice(at..(at + 4).min(request.len()), number.to_le_bytes());
            }
            Self::Remove(index) => {
                let at = place(index, request);
                request.drain(at..(at + 1).min(request.len()));
            }
            Self::Insert(index, bytes) => {
                let at = place(index, request);
                request.splice(at..at, bytes.iter().copied());
            }
            Self::Cut(index) => request.truncate(place(index, request)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        any::<u32>(),
        select(vec![0, 1, 7, 8, 31, 32, 0x7FFF_FFFF, 0x8000_0000, u32::MAX]),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), number).prop_map(|(at, number)| Change::Number(at, number)),
        any::<Index>().prop_map(Change::Remove),
        (any::<Index>(), vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (select(Opcode::ALL), vec(change(), 1..5)).prop_map(|(opcode, changes)| {
        let mut request = valid(opcode);
        for change in &changes {
            change.apply(&mut request);
        }
        request
    })
}

fn capacity() -> impl Strategy<Value = u16> {
    prop_oneof![Just(4096), 0u16..400, any::<u16>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_answered(input in vec(any::<u8>(), 0..600)) {
        fuzz::run(&input);
    }

    #[test]
    fn arbitrary_bodies_are_answered(
        how in any::<u8>(),
        opcode in 0u32..60,
        body in vec(any::<u8>(), 0..200),
        capacity in capacity(),
    ) {
        let request = crate::testing::RequestBuilder::numbered(opcode).bytes(&body).build();
        fuzz::run(&fuzz::input(how, capacity, &request));
    }

    #[test]
    fn mutated_requests_are_answered(
        how in any::<u8>(),
        request in mutated(),
        capacity in capacity(),
    ) {
        fuzz::run(&fuzz::input(how, capacity, &request));
    }
}

/// The seeds of the fuzzer, in all circumstances and with every size of reply area up to a page.
#[test]
fn seeds_are_answered_in_any_room() {
    for (_, seed) in fuzz::seeds() {
        for how in 0..32 {
            let mut input = seed.clone();
            input[0] = how;
            fuzz::run(&input);
        }
        for capacity in 0..400u16 {
            let mut input = seed.clone();
            input[1..3].copy_from_slice(&capacity.to_le_bytes());
            fuzz::run(&input);
        }
    }
}
