//! Descriptor chains in a guest's memory. `samepaged::fuzzing` tells what an input means.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| samepaged::fuzzing::descriptors(input));
