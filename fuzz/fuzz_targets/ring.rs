//! A ring in a guest's memory: how it is set up, what is done, and all its bytes. `samepaged::fuzzing` tells what an input means.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    samepaged::fuzzing::ring(input);
});
