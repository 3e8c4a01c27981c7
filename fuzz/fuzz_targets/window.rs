//! Mapping requests from a hostile guest to a DAX window, before a VMM that bears no more than QEMU 11.1 does.
//!
//! `samepaged::dax::testing::fuzz` tells what an input means and what is checked; `cargo test -p samepaged dax` runs the
//! same over generated inputs.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| samepaged::fuzzing::window(input));
