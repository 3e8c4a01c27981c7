//! What fanotify tells. `coherence::fuzzing` tells what an input means.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| coherence::fuzzing::watch_events(input));
