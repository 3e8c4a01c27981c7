//! Requests from a hostile guest to `fuse::Server` over a file system that answers everything.
//!
//! `fuse::testing::fuzz` tells what an input means and what is checked; `cargo test -p fuse` runs the same entry over
//! generated inputs, without a fuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuse::testing::fuzz::run(input));
