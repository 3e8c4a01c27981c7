//! Daemons that are killed or stopped while they work, and others on the same directory and table.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use super::{create, write};
use crate::hostile::{House, honest};
use crate::support::daemon::Daemon;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;
use crate::support::wait_until;

/// Writes numbers to a file until the daemon answers no more. `acknowledged`: how many it said were written.
fn write_numbers(daemon: &Daemon, name: &str, acknowledged: &AtomicU64) {
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    let file = create(&mut guest, name).unwrap();
    for number in 0u64.. {
        match write(&mut guest, file, number * 8, &number.to_le_bytes()) {
            // Release: pairs with the acquire load of who looks into the file.
            Some(result) => {
                acknowledged.store(number + u64::from(result == Ok(8)), Ordering::Release);
            }
            None => return,
        }
    }
}

#[test]
fn a_daemon_that_is_killed_loses_no_acknowledged_write() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let house = House::new();
    let other = house.daemon();
    let stop = AtomicBool::new(false);
    let mut rng = Rng::with_seed(8);
    thread::scope(|scope| {
        let (socket, house, stop) = (other.socket(), &house, &stop);
        let honest = scope.spawn(move || honest::work(&socket, house, stop, Rng::with_seed(9)));
        for round in 0..6 {
            let (daemon, name) = (house.daemon(), format!("numbers-{round}"));
            let acknowledged = AtomicU64::new(0);
            thread::scope(|scope| {
                scope.spawn(|| write_numbers(&daemon, &name, &acknowledged));
                let enough = rng.u64(10..300);
                // Acquire: pairs with the store of who writes.
                wait_until("some are written", || acknowledged.load(Ordering::Acquire) > enough);
                // Either of the two processes: the other follows.
                let process = if round % 2 == 0 { daemon.process() } else { daemon.serving() };
                kill_process(Pid::from_raw(process as i32).unwrap(), Signal::KILL).unwrap();
            });
            let bytes = fs::read(house.path("share").join(&name)).unwrap();
            let numbers = (0..acknowledged.load(Ordering::Acquire)).flat_map(u64::to_le_bytes);
            let expected: Vec<u8> = numbers.collect();
            assert_eq!(bytes[..expected.len()], expected, "round {round}");
        }
        // Relaxed: the flag carries no data.
        stop.store(true, Ordering::Relaxed);
        honest.join().unwrap().check();
    });
}

/// A frozen daemon may hold name locks and have announced what it does not do: the other one's guest waits a second for
/// each at most, and is told nothing that is not so.
#[test]
fn a_daemon_that_is_stopped_keeps_nobody_from_working() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let house = House::new();
    let (frozen, other) = (house.daemon(), house.daemon());
    let stop = AtomicBool::new(false);
    let signal = |signal| {
        kill_process(Pid::from_raw(frozen.serving() as i32).unwrap(), signal).unwrap();
    };
    thread::scope(|scope| {
        let (socket, house, stop) = (frozen.socket(), &house, &stop);
        let first = scope.spawn(move || honest::work(&socket, house, stop, Rng::with_seed(1)));
        // In one round it may come to nothing but waiting for a lock.
        let mut seconds = honest::Work::default();
        for round in 0..5 {
            signal(Signal::STOP);
            let enough = AtomicBool::new(false);
            let work = thread::scope(|scope| {
                let (socket, enough) = (other.socket(), &enough);
                let rng = Rng::with_seed(10 + round);
                let second = scope.spawn(move || honest::work(&socket, house, enough, rng));
                thread::sleep(Duration::from_millis(400));
                enough.store(true, Ordering::Relaxed); // As above.
                second.join().unwrap()
            });
            seconds = seconds.and(&work);
            signal(Signal::CONT);
            thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed); // As above.
        first.join().unwrap().check();
        seconds.check();
    });
}
