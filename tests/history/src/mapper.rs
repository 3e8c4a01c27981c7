//! Stores into files and loads from them through `mmap(MAP_SHARED)`, with atomics and without a system call.

use std::hint::spin_loop;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::{Duration, Instant};

use crate::memory::Words;

/// The token's word, and the one that whoever passes it on writes before.
const TOKEN: usize = 0;
const MESSAGE: usize = 1;

/// Of so many turns, the last is the third player's; the first two play the others by turns.
const LAP: u64 = 1000;

/// Words of a page.
const PAGE: usize = 4096 / size_of::<u64>();

/// Looks at the token before the processor is offered to others.
const SPINS: u32 = 1 << 12;

/// Who passes the token on when it has been passed on `turn` times.
fn whose(turn: u64) -> u64 {
    if turn % LAP == LAP - 1 { 2 } else { turn % 2 }
}

/// What goes with a turn: not the number itself, nor that of its neighbours.
fn message(turn: u64) -> u64 {
    turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Passes a token through two words of a file, `turns` times with the other players'. Returns how often it was ours.
///
/// # Errors
/// The file cannot be mapped, or what came with the token is not what was sent.
pub fn pass_token(path: &Path, player: u64, turns: u64) -> io::Result<u64> {
    let words = Words::map(path)?;
    let (token, message_word) = (words.get(TOKEN), words.get(MESSAGE));
    let (mut own, mut spins) = (0, 0_u32);
    loop {
        // Acquire: pairs with the release below, so that the message is the one that was sent with it.
        let turn = token.load(Acquire);
        if turn >= turns {
            return Ok(own);
        }
        if whose(turn) == player {
            // Relaxed, twice: the token orders them.
            let came = message_word.load(Relaxed);
            if came != message(turn) {
                return Err(io::Error::other(format!("turn {turn} came with {came:#x}")));
            }
            message_word.store(message(turn + 1), Relaxed);
            token.store(turn + 1, Release);
            own += 1;
        }
        spins = spins.wrapping_add(1);
        if spins % SPINS == 0 { thread::yield_now() } else { spin_loop() }
    }
}

/// Stores into a word of a file, and writes it back (`msync`) if so wished.
///
/// # Errors
/// The file cannot be mapped or written back.
pub fn store(path: &Path, word: usize, value: u64, sync: bool) -> io::Result<()> {
    let words = Words::map(path)?;
    // Release: what was stored before is seen by whoever sees this.
    words.get(word).store(value, Release);
    if sync { words.write_back() } else { Ok(()) }
}

/// Loads a word of a file.
///
/// # Errors
/// The file cannot be mapped.
pub fn load(path: &Path, word: usize) -> io::Result<u64> {
    // Acquire: as `store`.
    Ok(Words::map(path)?.get(word).load(Acquire))
}

/// How often [`touch`] looks whether it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Stores into every page of a file and loads from it, again and again, however short others cut it meanwhile. Where a
/// page is gone that ends the process, as it does on any machine.
///
/// Ends early when `stop` is there: of a file that the guest does not map, because it ended inside a page when the guest met
/// it, each round is written back, and Linux lets no more than 1 % of its cache be such pages. That is a second a round, or
/// several, where it is a millisecond in a window.
///
/// # Errors
/// The file cannot be mapped, or has no page.
pub fn touch(path: &Path, rounds: u64, stop: &Path) -> io::Result<()> {
    let words = Words::map(path)?;
    let mut looked = Instant::now();
    for round in 0..rounds {
        if looked.elapsed() > LOOK_EVERY {
            if stop.exists() {
                break;
            }
            looked = Instant::now();
        }
        for page in (0..words.len()).step_by(PAGE) {
            // Relaxed, twice: only that they are made matters.
            let found = words.get(page).load(Relaxed);
            words.get(page).store(found.wrapping_add(round), Relaxed);
        }
    }
    Ok(())
}

/// What a page of a file holds: its first word, and its last.
fn contents(seed: u64, page: usize) -> [(usize, u64); 2] {
    let word = page * PAGE;
    [(word, message(seed ^ word as u64)), (word + PAGE - 1, message(!seed ^ word as u64))]
}

/// Gives every page of a file contents of its own.
///
/// # Errors
/// The file cannot be mapped.
pub fn fill(path: &Path, seed: u64) -> io::Result<()> {
    let words = Words::map(path)?;
    let pages = 0..words.len() / PAGE;
    // Relaxed: whoever looks is told afterwards.
    pages
        .flat_map(|page| contents(seed, page))
        .for_each(|(at, is)| words.get(at).store(is, Relaxed));
    words.write_back()
}

/// Looks at every page, and gives it the contents of `next` if that is another number; returns how many there are.
///
/// # Errors
/// The file cannot be mapped, or a page has other contents.
pub fn check(path: &Path, seed: u64, next: u64) -> io::Result<usize> {
    let words = Words::map(path)?;
    let pages = words.len() / PAGE;
    for page in 0..pages {
        for ((at, is), (_, then)) in contents(seed, page).into_iter().zip(contents(next, page)) {
            // Relaxed, twice: as above.
            let found = words.get(at).load(Relaxed);
            if found != is {
                return Err(io::Error::other(format!("page {page}: {found:#x}, not {is:#x}")));
            }
            if then != is {
                words.get(at).store(then, Relaxed);
            }
        }
    }
    Ok(pages)
}

/// Maps a file and looks at every page; makes `ready`, waits for `go`, and looks again. Returns the sum of the pages' first
/// words then. Where a page is gone that ends the process.
///
/// # Errors
/// The file cannot be mapped.
pub fn look_later(path: &Path, ready: &Path, go: &Path) -> io::Result<u64> {
    let words = Words::map(path)?;
    // Relaxed: only which memory it is matters.
    let first = |page: usize| words.get(page * PAGE).load(Relaxed);
    let look = || (0..words.len() / PAGE).map(first).fold(0, u64::wrapping_add);
    look();
    std::fs::write(ready, "")?;
    while !go.exists() {
        thread::sleep(Duration::from_millis(20));
    }
    Ok(look())
}

/// Stores into every file of a directory, makes `ready`, and keeps them mapped until `go` is there.
///
/// # Errors
/// A file cannot be mapped.
pub fn hold(directory: &Path, ready: &Path, go: &Path) -> io::Result<()> {
    let map = |entry: io::Result<std::fs::DirEntry>| Words::map(&entry?.path());
    let all: Vec<_> = std::fs::read_dir(directory)?.map(map).collect::<io::Result<_>>()?;
    // Relaxed: only that they are stored into matters.
    for words in &all {
        words.get(0).store(1, Relaxed);
    }
    std::fs::write(ready, "")?;
    while !go.exists() {
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
