//! What the fuzzer does, in small.

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::dax::testing::fuzz;

#[test]
fn what_fuzzing_begins_with_is_borne() {
    let seeds: Vec<_> = fuzz::seeds().collect();
    assert!(seeds.len() > 5);
    for (name, seed) in &seeds {
        println!("{name}");
        fuzz::run(seed);
    }
    // All of them one after the other, there and back.
    let steps = |seeds: &[(String, Vec<u8>)]| -> Vec<u8> {
        seeds.iter().flat_map(|(_, seed)| seed.clone()).collect()
    };
    fuzz::run(&steps(&seeds));
    fuzz::run(&steps(&seeds.into_iter().rev().collect::<Vec<_>>()));
}

proptest! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    #[test]
    fn nothing_that_a_guest_asks_for_is_too_much(input in prop::collection::vec(any::<u8>(), 0..1664)) {
        fuzz::run(&input);
    }
}
