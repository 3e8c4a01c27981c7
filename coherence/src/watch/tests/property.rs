//! Random changes on the host, and a guest that caches what it comes across: whatever it may still use after the events
//! have been dealt with must be what the host says.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::guest::{Checked, Guest};
use super::*;

/// Changes between two checks.
const ROUND: u64 = 50;

/// Inside the share, and outside of it.
const DIRECTORIES: [&str; 6] = ["s", "s/a", "s/b", "s/a/deep", "s/b/deep", "out"];
const NAMES: [&str; 6] = ["f", "g", "h", "deep", "link", "tmp~"];

/// A small generator, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn path(&mut self, f: &Fixture) -> PathBuf {
        let dir = DIRECTORIES[self.below(DIRECTORIES.len())];
        f.path(dir).join(NAMES[self.below(NAMES.len())])
    }
}

/// One change, if the host is so disposed.
fn change(random: &mut Random, f: &Fixture) -> &'static str {
    let (a, b) = (random.path(f), random.path(f));
    let mode = random.below(0o1000) as u32 | 0o600;
    let tmp = a.with_extension("swp");
    let result = match random.below(17) {
        0 => ("create", fs::write(&a, "new")),
        1 => ("append", append(&a)),
        2 => ("truncate", File::options().write(true).open(&a).and_then(|f| f.set_len(2))),
        3 => ("chmod", fs::set_permissions(&a, PermissionsExt::from_mode(mode))),
        4 => ("unlink", fs::remove_file(&a)),
        5 | 6 => ("link", fs::hard_link(&a, &b)),
        7 | 8 => ("rename", fs::rename(&a, &b)),
        9 | 10 => ("replace", fs::write(&tmp, "saved").and_then(|()| fs::rename(&tmp, &a))),
        11 => ("mkdir", fs::create_dir(&a)),
        12 => ("rmdir", fs::remove_dir(&a)),
        13 => ("symlink", symlink("f", &a)),
        14 => {
            let (value, flags) = (mode.to_ne_bytes(), rustix::fs::XattrFlags::empty());
            ("xattr", rustix::fs::setxattr(&a, "user.x", &value, flags).map_err(Into::into))
        }
        15 => ("set the time of", set_time(&a, mode.into())),
        _ => ("exchange", exchange(&a, &b)),
    };
    result.0
}

fn append(path: &Path) -> std::io::Result<()> {
    File::options().append(true).open(path)?.write_all(b"more")
}

/// Of modification only.
fn set_time(path: &Path, seconds: i64) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn exchange(a: &Path, b: &Path) -> std::io::Result<()> {
    let (cwd, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
    Ok(rustix::fs::renameat_with(cwd, a, cwd, b, flags)?)
}

fn run(place: &str, source: Arc<dyn ChangeSource>, changes: u64, seed: u64) {
    let f = Fixture::new(place);
    let watcher = f.watch(source, never());
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    for dir in DIRECTORIES {
        fs::create_dir_all(f.path(dir)).unwrap();
    }
    let mut random = Random(seed);
    let mut guests = [Guest::new(&f, &system), Guest::new(&f, &system)];
    let mut all = Checked::default();
    for round in 0..changes / ROUND {
        let mut done = String::new();
        for _ in 0..ROUND {
            done += change(&mut random, &f);
            done.push(' ');
            let dir = f.path(DIRECTORIES[random.below(DIRECTORIES.len() - 1)]);
            if random.below(2) == 0 && dir.is_dir() {
                let name = NAMES[random.below(NAMES.len())];
                guests[random.below(2)].look_up(&open(&dir), name);
            }
        }
        f.drain(&system);
        for guest in &mut guests {
            let checked = guest.check(&format!("seed {seed}, round {round}: {done}"));
            all.hits += checked.hits;
            all.misses += checked.misses;
        }
    }
    println!("{place} {}: {all:?} {:?}", watcher.figures().source, watcher.figures());
    assert_eq!(watcher.figures().sweeps, 0, "no change was dealt with by a sweep");
    assert!(all.hits > changes / 10 && all.misses > changes / 10, "{all:?}");
}

fn everywhere(changes: u64) {
    for (i, place) in places().iter().enumerate() {
        for (j, source) in bystanders().into_iter().enumerate() {
            run(place, source, changes / 4, 0x5eed + (2 * i + j) as u64);
        }
    }
}

#[test]
fn nothing_that_a_guest_may_use_differs_from_the_host() {
    everywhere(10_000);
}

#[test]
#[ignore = "long"]
fn nothing_that_a_guest_may_use_differs_from_the_host_after_many_changes() {
    everywhere(100_000);
}
