//! A hostile guest with a DAX window, and a VMM that is as bad, while two honest front ends work on the same directory and
//! table, and the host changes the files that are mapped.
//!
//! ```text
//! vmm      answers SHMEM_MAP: as it should, late, with an error, or never
//! session  asks for mappings of all kinds; descriptors that lead to pages which their file no longer has
//! ```
//!
//! Each session is a process of its own: what a VMM has mapped is kept busy until its process has ended.

mod session;
mod vmm;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{Holdings, House, Stop, honest, number};
use crate::faults::with_own_mounts;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

/// Bytes of the window.
const WINDOW: u64 = 4 << 20;

/// Where in the shared directory the files are, and what they are called.
const DIRECTORY: &str = "mapped";
const FILES: [&str; 5] = ["whole", "cut", "odd", "empty", "gone"];

/// For the process of a session: whose socket, and what number begins it.
const SOCKET: &str = "SAMEPAGE_HOSTILE_WINDOW";
const SEED: &str = "SAMEPAGE_HOSTILE_WINDOW_SEED";

fn hostility(seconds: u64) {
    let seconds = number("SAMEPAGE_HOSTILE_SECONDS").unwrap_or(seconds);
    let seed = number("SAMEPAGE_HOSTILE_SEED").unwrap_or_else(|| Rng::new().u64(..));
    eprintln!("SAMEPAGE_HOSTILE_SEED={seed}");
    let end = Instant::now() + Duration::from_secs(seconds);
    let house = House::new_or_given();
    make_files(&house.path("share").join(DIRECTORY));
    let (mut first, mut second) = (house.daemon(), house.daemon());
    let mut victim = house.daemon_with(&["--dax-window", &WINDOW.to_string(), "--dax", "always"]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        let honest = [(&first, seed ^ 1), (&second, seed ^ 2)].map(|(daemon, seed)| {
            let (socket, house, stop) = (daemon.socket(), &house, &stop);
            scope.spawn(move || honest::work(&socket, house, stop, Rng::with_seed(seed)))
        });
        let (files, stop_host) = (house.path("share").join(DIRECTORY), &stop);
        scope.spawn(move || change_files(&files, stop_host, Rng::with_seed(seed ^ 3)));
        attack(&mut victim, &house, Rng::with_seed(seed), end);
        // Relaxed: the flag carries no data.
        stop.store(true, Ordering::Relaxed);
        for honest in honest {
            honest.join().unwrap().check();
        }
    });
    assert!(first.is_alive() && second.is_alive() && victim.is_alive());
}

fn make_files(directory: &Path) {
    fs::create_dir(directory).unwrap();
    for name in FILES {
        fs::write(directory.join(name), vec![1; 8 << 20]).unwrap();
    }
}

/// The host cuts the files, makes them longer, and puts others in their places.
fn change_files(directory: &Path, stop: &AtomicBool, mut rng: Rng) {
    // Relaxed: the flag carries no data.
    while !stop.load(Ordering::Relaxed) {
        let path = directory.join(rng.choice(FILES).unwrap());
        let sizes = [0, 4096, 5000, 1 << 20, (2 << 20) + 1, 4 << 20, 8 << 20];
        match rng.u8(0..8) {
            0 => {
                let _ = fs::remove_file(&path);
            }
            1 => fs::write(&path, "another").unwrap(),
            // A guest may have removed it.
            _ => drop(
                File::options()
                    .write(true)
                    .open(&path)
                    .and_then(|file| file.set_len(*rng.choice(&sizes).unwrap())),
            ),
        }
        thread::sleep(Duration::from_micros(rng.u64(0..3000)));
    }
}

fn attack(victim: &mut Daemon, house: &House, mut rng: Rng, end: Instant) {
    let (mut before, mut sessions, mut mapped, mut refused) = (None, 0, 0, 0);
    while Instant::now() < end || before.is_none() {
        let figures = run_session(&victim.socket(), rng.u64(..));
        (mapped, refused) = (mapped + figures.0, refused + figures.1);
        assert!(victim.is_alive(), "ended by a session:\n{}", victim.log());
        house.outside_is_untouched();
        sessions += 1;
        // The first time round everything there is to be kept has been made.
        before.get_or_insert_with(|| Holdings::of(victim));
    }
    eprintln!("{sessions} sessions, {mapped} mappings, {refused} refused");
    assert!(mapped > 0 && refused > 0);
    let before = before.unwrap();
    wait_until("what was held for VMMs is given back", || {
        let now = Holdings::of(victim);
        now.descriptors <= before.descriptors + 8 && now.threads <= before.threads + 2
    });
    let now = Holdings::of(victim);
    assert!(now.kib < before.kib + 65_536, "memory: {before:?} became {now:?}");
}

/// A hostile VMM with its guest, from beginning to end. Returns how many mappings it was given, and how many not.
fn run_session(socket: &Path, seed: u64) -> (u64, u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "hostile::window::a_session", "--nocapture", "--include-ignored"]);
    command.env(SOCKET, socket).env(SEED, seed.to_string());
    let child = command.stdin(Stdio::null()).output().unwrap();
    let text =
        [child.stdout, child.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(child.status.success(), "the session that {seed} begins:\n{}", text.concat());
    let figures = text[0].lines().find_map(|line| {
        let (mapped, refused) = line.split_once(' ')?;
        Some((mapped.parse().ok()?, refused.parse().ok()?))
    });
    figures.unwrap_or_else(|| panic!("no figures: {}", text.concat()))
}

/// Not a test, but what [`run_session`] runs.
#[test]
fn a_session() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    session::run(&PathBuf::from(socket), Rng::with_seed(number(SEED).unwrap()));
}

#[test]
fn hostile_mappings_for_a_quarter_of_a_minute() {
    with_own_mounts(|| hostility(15));
}

#[test]
#[ignore = "long"]
fn hostile_mappings_for_a_quarter_of_an_hour() {
    with_own_mounts(|| hostility(900));
}
