//! A queue of one producer and one consumer in a file's pages, without locks and without a system call.

use std::hint::spin_loop;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;

use crate::memory::Words;

/// How many entries were put in and taken out; a cache line each.
const PUT: usize = 0;
const TAKEN: usize = 8;

/// Entries follow. Each is a number and what belongs to it, so that a half is seen.
const ENTRIES: usize = 64;
const CAPACITY: u64 = 100;
const ENTRY: usize = 4;

/// Looks before the processor is offered to others.
const SPINS: u32 = 1 << 12;

/// Bytes of a file that has room for it.
pub const BYTES: u64 = 4096;

/// Puts `count` entries in.
///
/// # Errors
/// The file cannot be mapped.
pub fn produce(path: &Path, count: u64) -> io::Result<()> {
    let words = Words::map(path)?;
    for number in 0..count {
        // The consumer has read what was there `CAPACITY` entries ago.
        wait(words.get(TAKEN), |taken| number < taken + CAPACITY);
        for word in 0..ENTRY {
            // Relaxed: the count orders them.
            words.get(place(number) + word).store(content(number, word), Relaxed);
        }
        // Release: whoever sees the count sees the entry.
        words.get(PUT).store(number + 1, Release);
    }
    Ok(())
}

/// Takes `count` entries out, in the order in which they were put in.
///
/// # Errors
/// The file cannot be mapped, or an entry is not what was put in.
pub fn consume(path: &Path, count: u64) -> io::Result<()> {
    let words = Words::map(path)?;
    for number in 0..count {
        wait(words.get(PUT), |put| put > number);
        for word in 0..ENTRY {
            // Relaxed: as above.
            let found = words.get(place(number) + word).load(Relaxed);
            if found != content(number, word) {
                return Err(io::Error::other(format!("entry {number}, word {word}: {found:#x}")));
            }
        }
        // Release: what was read is not overwritten before it was.
        words.get(TAKEN).store(number + 1, Release);
    }
    Ok(())
}

fn place(number: u64) -> usize {
    ENTRIES + (number % CAPACITY) as usize * ENTRY
}

fn content(number: u64, word: usize) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(word as u32)
}

fn wait(count: &AtomicU64, is_enough: impl Fn(u64) -> bool) {
    let mut spins = 0_u32;
    // Acquire: pairs with the releases above.
    while !is_enough(count.load(Acquire)) {
        spins = spins.wrapping_add(1);
        if spins.is_multiple_of(SPINS) { thread::yield_now() } else { spin_loop() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_out_as_it_went_in() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(BYTES).unwrap();
        let path = file.path();
        thread::scope(|scope| {
            let producer = scope.spawn(|| produce(path, 10_000));
            consume(path, 10_000).unwrap();
            producer.join().unwrap().unwrap();
        });
        // One that is not as it was put in is an error.
        file.as_file().set_len(0).unwrap();
        file.as_file().set_len(BYTES).unwrap();
        Words::map(path).unwrap().get(PUT).store(1, Release);
        consume(path, 1).unwrap_err();
    }
}
