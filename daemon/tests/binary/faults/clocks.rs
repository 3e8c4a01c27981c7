//! Clocks that are not the same for all daemons of a table: their processes are in time namespaces, whose monotonic clocks
//! are days apart. The time of day is asked by nobody but for what `samepage table` shows.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::Signal;

use crate::hostile::{House, honest};
use crate::support::daemon::Daemon;

/// A daemon whose monotonic clock is `seconds` ahead.
fn daemon_ahead(house: &House, seconds: i64) -> Option<Daemon> {
    thread::scope(|scope| {
        let start = || {
            // What this thread starts is in the namespace, the thread itself is not.
            // SAFETY: a system call without pointers.
            let entered = unsafe { libc::unshare(libc::CLONE_NEWTIME) };
            let offsets = format!("monotonic {seconds} 0\nboottime {seconds} 0\n");
            if entered != 0 || fs::write("/proc/thread-self/timens_offsets", offsets).is_err() {
                eprintln!("skipped: no time namespaces here");
                return None;
            }
            Some(house.daemon())
        };
        scope.spawn(start).join().unwrap()
    })
}

#[test]
fn daemons_whose_clocks_are_days_apart_agree() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let house = House::new();
    let Some(ahead) = daemon_ahead(&house, 1_000_000) else { return };
    let other = house.daemon();
    for round in 0..2 {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let works = [&ahead, &other].map(|daemon| {
                let (socket, house, stop) = (daemon.socket(), &house, &stop);
                let rng = Rng::with_seed(round);
                scope.spawn(move || honest::work(&socket, house, stop, rng))
            });
            thread::sleep(Duration::from_millis(500));
            // Relaxed: the flag carries no data.
            stop.store(true, Ordering::Relaxed);
            for work in works {
                work.join().unwrap().check();
            }
        });
    }
    // One that dies is found dead whatever the time is there.
    ahead.signal(Signal::KILL);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (socket, house, stop) = (other.socket(), &house, &stop);
        let work = scope.spawn(move || honest::work(&socket, house, stop, Rng::with_seed(5)));
        thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed); // As above.
        work.join().unwrap().check();
    });
}
