//! The state of a guest that another daemon hands over. `samepaged::fuzzing` tells what an input means.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| samepaged::fuzzing::migration_state(input));
