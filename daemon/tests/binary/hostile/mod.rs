//! A hostile front end against one daemon, at every layer, while two honest ones work on the same directory and table
//! through daemons of their own.
//!
//! ```text
//! messages  vhost-user messages: any request, any length, any descriptor; also to a device that works
//! guest     rings and descriptors with anything in them; FUSE requests that are nearly well-formed, whose bytes change
//!           while the daemon reads them
//! races     on the host: directories that become symlinks, leave the shared directory, or are mounted on, while they are
//!           walked
//! honest    looks, changes, and compares what its stamps vouch for with what the host says
//! window    a guest with a DAX window, and its VMM
//! ```
//!
//! Nobody may crash, hang, leak, answer with anything from outside the shared directory, or vouch for what is not so.
//! `SAMEPAGE_HOSTILE_SECONDS` and `SAMEPAGE_HOSTILE_SEED` make it longer and another one. `SAMEPAGE_HOSTILE_HOUSE` names a
//! directory where real guests work on the same files, and `SAMEPAGE_HOSTILE_TABLE` their table (`hostile` in the tests in
//! VMs).

mod guest;
pub(crate) mod honest;
mod messages;
mod races;
mod window;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::mount::{MsFlags, mount};
use tempfile::TempDir;

use crate::faults::with_own_mounts;
use crate::support::daemon::{Daemon, samepaged, samepaged_without_seals};
use crate::support::wait_until;

/// What stands in a file beside the shared directory, which no guest may ever see.
const SECRET: &[u8] = b"what nobody in the guest may read";

/// The hostile daemon's limit for files, so that they do not fill the memory they are in.
const FILE_LIMIT: u64 = 1 << 22;

/// A directory where another file system is mounted.
const DISK: &str = "disk";

/// The directory, what is beside it, and the table.
pub(crate) struct House {
    place: PathBuf,
    table: PathBuf,
    _own: Option<TempDir>,
}

/// The table of real guests, if the environment names one.
fn given_table() -> Option<PathBuf> {
    std::env::var_os("SAMEPAGE_HOSTILE_TABLE").map(PathBuf::from)
}

impl House {
    pub(crate) fn new() -> Self {
        Self::own(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    /// Where others are at home already, if the environment says so.
    fn new_or_given() -> Self {
        match std::env::var_os("SAMEPAGE_HOSTILE_HOUSE") {
            Some(place) => Self::at(place.into(), None),
            None => Self::new(),
        }
    }

    /// In a small file system of its own, for a thread that has mounts of its own; the table is there, the shared
    /// directory is not.
    pub(crate) fn in_own_tmpfs() -> Self {
        let place = tempfile::tempdir().unwrap();
        crate::faults::mount_tmpfs(place.path(), "size=4m");
        let house = Self::own(place);
        crate::faults::mount_tmpfs(&house.path("share"), "size=4m");
        house
    }

    fn own(place: TempDir) -> Self {
        Self::at(place.path().into(), Some(place))
    }

    fn at(place: PathBuf, own: Option<TempDir>) -> Self {
        for directory in ["share/arena", "share/races/inner", "outside/inner", DISK] {
            fs::create_dir_all(place.join(directory)).unwrap();
        }
        fs::write(place.join("outside/secret"), SECRET).unwrap();
        fs::write(place.join("outside/inner/secret"), SECRET).unwrap();
        let table = given_table().unwrap_or_else(|| place.join("table"));
        Self { place, table, _own: own }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// What is mounted in the shared directory from now on is mounted for the daemons, too. For a thread that has mounts
    /// of its own.
    fn share_mounts(&self) {
        let share = self.path("share");
        let set = |from, flags| mount(from, &share, None::<&str>, flags, None::<&str>).unwrap();
        set(Some(&share), MsFlags::MS_BIND);
        set(None, MsFlags::MS_SHARED);
        crate::faults::mount_tmpfs(&self.path(DISK), "size=4m");
        fs::create_dir(self.path(DISK).join("inner")).unwrap();
    }

    pub(crate) fn table(&self) -> &Path {
        &self.table
    }

    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with(&[])
    }

    /// With more options.
    fn daemon_with(&self, options: &[&str]) -> Daemon {
        let own = tempfile::tempdir().unwrap();
        // Real guests' daemons have made their table immutable, and who cannot undo that cannot join.
        let mut command =
            if given_table().is_some() { samepaged() } else { samepaged_without_seals() };
        command.arg("--socket-path").arg(own.path().join("socket"));
        command.arg("--shared-dir").arg(self.path("share"));
        command.arg("--version-table").arg(&self.table).args(["--slots", "65536"]);
        command.args(["--xattr", "--log-level", "error"]).args(options);
        Daemon::spawn_silent(command, own)
    }

    /// That nothing has happened beside the shared directory.
    fn outside_is_untouched(&self) {
        let mut names: Vec<_> = fs::read_dir(self.path("outside"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != races::WANDERER)
            .collect();
        names.sort();
        assert_eq!(names, ["inner", "secret"]);
        assert_eq!(fs::read(self.path("outside/secret")).unwrap(), SECRET);
        assert_eq!(fs::read(self.path("outside/inner/secret")).unwrap(), SECRET);
    }
}

/// What a daemon holds while nobody is connected.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    kib: u64,
}

impl Holdings {
    fn of(daemon: &Daemon) -> Self {
        Self {
            descriptors: daemon.descriptors(),
            threads: daemon.threads(),
            kib: daemon.resident_kib(),
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Is hostile for this long.
fn hostility(seconds: u64) {
    let seconds = number("SAMEPAGE_HOSTILE_SECONDS").unwrap_or(seconds);
    let seed = number("SAMEPAGE_HOSTILE_SEED").unwrap_or_else(|| Rng::new().u64(..));
    eprintln!("SAMEPAGE_HOSTILE_SEED={seed}");
    let end = Instant::now() + Duration::from_secs(seconds);
    let house = House::new_or_given();
    house.share_mounts();
    let (mut victim, mut first, mut second) = (house.daemon(), house.daemon(), house.daemon());
    victim.limit_file_size(FILE_LIMIT);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        let honest = [(&first, seed ^ 1), (&second, seed ^ 2)].map(|(daemon, seed)| {
            let (socket, house, stop) = (daemon.socket(), &house, &stop);
            scope.spawn(move || honest::work(&socket, house, stop, Rng::with_seed(seed)))
        });
        let (races, stop_races) = (&house, &stop);
        scope.spawn(move || races::run(races, stop_races, Rng::with_seed(seed ^ 3)));
        attack(&mut victim, &house, Rng::with_seed(seed), end);
        // Relaxed: the flag carries no data.
        stop.store(true, Ordering::Relaxed);
        for honest in honest {
            honest.join().unwrap().check();
        }
    });
    assert!(first.is_alive() && second.is_alive() && victim.is_alive());
    house.outside_is_untouched();
}

/// Ends the other threads whatever happens in this one.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed); // As in `hostility`.
    }
}

fn attack(victim: &mut Daemon, house: &House, mut rng: Rng, end: Instant) {
    let (socket, mut before) = (victim.socket(), None);
    let (mut connections, mut requests) = (0, 0);
    while Instant::now() < end || before.is_none() {
        connections += messages::connect_and_send(&socket, &mut rng);
        assert!(victim.is_alive(), "ended by messages:\n{}", victim.log());
        requests += guest::session(&socket, &mut rng);
        assert!(victim.is_alive(), "ended by a guest:\n{}", victim.log());
        house.outside_is_untouched();
        // The first time round everything there is to be kept has been made.
        before.get_or_insert_with(|| Holdings::of(victim));
    }
    eprintln!("{connections} connections with garbage, {requests} hostile requests");
    let before = before.unwrap();
    wait_until("what was held for guests is given back", || {
        let now = Holdings::of(victim);
        now.descriptors <= before.descriptors + 8 && now.threads <= before.threads + 1
    });
    let now = Holdings::of(victim);
    assert!(now.kib < before.kib + 65_536, "memory: {before:?} became {now:?}");
}

#[test]
fn hostile_at_every_layer_for_a_minute() {
    with_own_mounts(|| hostility(60));
}

#[test]
#[ignore = "long"]
fn hostile_at_every_layer_for_an_hour() {
    with_own_mounts(|| hostility(3600));
}
