//! `--uid-map`, `--gid-map`: who is who in a user namespace.

use std::fs;
use std::io;
use std::process::Command;
use std::str::FromStr;

use nix::unistd::Pid;
use rustix::fs::{Gid, Uid};

use super::{Options, SandboxError};

/// `:INSIDE:OUTSIDE:COUNT:`, with any other character but a letter or digit in the colons' place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the user namespace, which is what the guest sees.
    pub inside: u32,
    /// The first id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl FromStr for IdRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text)
            .ok_or_else(|| "write :INSIDE:HOST:COUNT:, for instance :0:100000:65536:".to_owned())
    }
}

fn parse(text: &str) -> Option<IdRange> {
    let delimiter = text.chars().next().filter(|c| !c.is_alphanumeric())?;
    let inner = text.strip_prefix(delimiter)?.strip_suffix(delimiter)?;
    let fields: Vec<u32> = inner.split(delimiter).map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[inside, outside, count] = fields.as_slice() else { return None };
    let fits = |first: u32| first.checked_add(count.checked_sub(1)?);
    (fits(inside).is_some() && fits(outside).is_some()).then_some(IdRange {
        inside,
        outside,
        count,
    })
}

/// What the user namespace's ids are to be.
#[derive(Debug)]
pub(super) struct IdMaps {
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
    own: (u32, u32),
}

impl IdMaps {
    pub(super) fn new(options: &Options) -> Self {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let or_own = |map: &[IdRange], own| match map {
            [] => vec![IdRange { inside: own, outside: own, count: 1 }],
            map => map.to_vec(),
        };
        Self { uids: or_own(&options.uid_map, own.0), gids: or_own(&options.gid_map, own.1), own }
    }

    /// Maps the ids of `process`, which has just made its user namespace. To be called from outside.
    ///
    /// # Errors
    /// [`SandboxError::Map`].
    pub(super) fn apply(&self, process: Pid) -> Result<(), SandboxError> {
        let path = |name: &str| format!("/proc/{process}/{name}");
        let map = |option, program, file, result: Result<(), String>| {
            result.map_err(|reason| SandboxError::Map { option, program, file, reason })
        };
        let uids = if is_own(&self.uids, self.own.0) {
            write(&path("uid_map"), &self.uids)
        } else {
            run("newuidmap", process, &self.uids)
        };
        map("--uid-map", "newuidmap", "/etc/subuid", uids)?;
        let gids = if is_own(&self.gids, self.own.1) {
            // The kernel's condition: groups are a way to be refused something.
            fs::write(path("setgroups"), "deny")
                .map_err(|error| error.to_string())
                .and_then(|()| write(&path("gid_map"), &self.gids))
        } else {
            run("newgidmap", process, &self.gids)
        };
        map("--gid-map", "newgidmap", "/etc/subgid", gids)
    }

    /// Makes the calling process root of its namespace where that has one, else itself, else the first there is.
    ///
    /// # Errors
    /// What `setresuid(2)` answers.
    pub(super) fn become_inside(&self) -> io::Result<()> {
        let gid = Gid::from_raw(identity(&self.gids, self.own.1));
        let uid = Uid::from_raw(identity(&self.uids, self.own.0));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    }
}

/// Whether it is one's own id and no other, which anybody may map.
fn is_own(map: &[IdRange], own: u32) -> bool {
    matches!(map, [IdRange { outside, count: 1, .. }] if *outside == own)
}

fn identity(map: &[IdRange], own: u32) -> u32 {
    let inside = |id: u32, first: u32, count: u32| id.checked_sub(first).filter(|at| *at < count);
    if map.iter().any(|range| range.inside == 0) {
        return 0;
    }
    let mapped = map
        .iter()
        .find_map(|r| inside(own, r.outside, r.count).and_then(|at| r.inside.checked_add(at)));
    mapped.or(map.first().map(|range| range.inside)).unwrap_or(own)
}

fn write(path: &str, map: &[IdRange]) -> Result<(), String> {
    let lines: Vec<String> =
        map.iter().map(|r| format!("{} {} {}\n", r.inside, r.outside, r.count)).collect();
    fs::write(path, lines.concat()).map_err(|error| error.to_string())
}

fn run(program: &str, process: Pid, map: &[IdRange]) -> Result<(), String> {
    let numbers = map.iter().flat_map(|r| [r.inside, r.outside, r.count]);
    let output = Command::new(program)
        .arg(process.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "not installed (Debian: the package uidmap)".to_owned(),
            _ => error.to_string(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("failed").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_three_numbers_between_equal_marks() {
        let range = IdRange { inside: 0, outside: 100_000, count: 65_536 };
        assert_eq!(":0:100000:65536:".parse(), Ok(range));
        assert_eq!("/0/100000/65536/".parse(), Ok(range));
        for wrong in [
            "",
            ":",
            ":0:1:",
            ":0:1:1",
            "0:1:1:",
            ":0:1:1/",
            "a0a1a1a",
            ":0:1:x:",
            ":0:1:1:1:",
            ":-1:1:1:",
            ":0:1:0:",
            ":4294967295:0:2:",
        ] {
            assert!(wrong.parse::<IdRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn root_of_the_namespace_serves_where_there_is_one() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        assert_eq!(identity(&[range(0, 100_000, 65_536)], 1000), 0);
        assert_eq!(identity(&[range(1000, 1000, 1)], 1000), 1000);
        assert_eq!(identity(&[range(5, 998, 10)], 1000), 7);
        assert_eq!(identity(&[range(10, 100_000, 10)], 1000), 10);
    }
}
