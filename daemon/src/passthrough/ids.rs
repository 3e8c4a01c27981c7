//! `--translate-uid`, `--translate-gid`: other numbers for the same users, in either direction on its own.

use std::io;
use std::ops::RangeInclusive;
use std::str::FromStr;

use fuse::abi::{Attr, Statx};
use fuse::{Context, errno};

use super::Passthrough;
use super::credentials::{Checks, Credentials};

/// One rule, as on the command line: `KIND:FIRST:…:COUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRule {
    /// `guest:GUEST:HOST:COUNT`: what a guest's id is on the host, one by one.
    Guest(Shift),
    /// `host:HOST:GUEST:COUNT`: what a host's id is in the guest, one by one.
    Host(Shift),
    /// `squash-guest:GUEST:HOST:COUNT`: all of these are one on the host.
    SquashGuest(Shift),
    /// `squash-host:HOST:GUEST:COUNT`: all of these are one in the guest.
    SquashHost(Shift),
    /// `forbid-guest:GUEST:COUNT`: nobody may create or own anything by these.
    ForbidGuest(Shift),
    /// `map:GUEST:HOST:COUNT`: `guest` and `host` at once.
    Both(Shift),
}

/// Ids from `from` on become ids from `to` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The first id that is meant.
    pub from: u32,
    /// What becomes of it.
    pub to: u32,
    /// How many.
    pub count: u32,
}

impl FromStr for IdRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            "write guest, host, squash-guest, squash-host or map and :FROM:TO:COUNT, or \
             forbid-guest:FROM:COUNT"
                .to_owned()
        })
    }
}

fn parse(text: &str) -> Option<IdRule> {
    let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let separator = text.chars().find(|c| !word(*c))?;
    let (kind, numbers) = text.split_once(separator)?;
    let numbers: Vec<u32> =
        numbers.split(separator).map(str::parse).collect::<Result<_, _>>().ok()?;
    let one_by_one = |rule: fn(Shift) -> IdRule| match *numbers.as_slice() {
        [from, to, count] => Shift { from, to, count }.checked(count).map(rule),
        _ => None,
    };
    let all_in_one = |rule: fn(Shift) -> IdRule| match *numbers.as_slice() {
        [from, to, count] => Shift { from, to, count }.checked(1).map(rule),
        _ => None,
    };
    match kind {
        "guest" => one_by_one(IdRule::Guest),
        "host" => one_by_one(IdRule::Host),
        "map" => one_by_one(IdRule::Both),
        "squash-guest" => all_in_one(IdRule::SquashGuest),
        "squash-host" => all_in_one(IdRule::SquashHost),
        "forbid-guest" => match *numbers.as_slice() {
            [from, count] => Shift { from, to: 0, count }.checked(1).map(IdRule::ForbidGuest),
            _ => None,
        },
        _ => None,
    }
}

impl Shift {
    /// None where it goes beyond the last id on the way out, or on the way in for `targets` ids.
    fn checked(self, targets: u32) -> Option<Self> {
        self.from.checked_add(self.count.checked_sub(1)?)?;
        self.to.checked_add(targets.checked_sub(1)?)?;
        Some(self)
    }

    fn range(&self) -> RangeInclusive<u32> {
        self.from..=self.from + (self.count - 1)
    }

    fn reverse(self) -> Self {
        Self { from: self.to, to: self.from, count: self.count }
    }
}

#[derive(Clone, Copy, Debug)]
enum Becomes {
    OneByOne,
    One,
    Nothing,
}

/// What becomes of ids of one kind on the way in and on the way out. Ids without a rule stay what they are.
#[derive(Clone, Debug, Default)]
pub(super) struct IdMap {
    to_host: Vec<(Shift, Becomes)>,
    to_guest: Vec<(Shift, Becomes)>,
}

impl IdMap {
    /// None where two rules are about the same id.
    pub(super) fn new(rules: &[IdRule]) -> Option<Self> {
        let mut map = Self::default();
        for rule in rules {
            match *rule {
                IdRule::Guest(shift) => push(&mut map.to_host, shift, Becomes::OneByOne)?,
                IdRule::Host(shift) => push(&mut map.to_guest, shift, Becomes::OneByOne)?,
                IdRule::SquashGuest(shift) => push(&mut map.to_host, shift, Becomes::One)?,
                IdRule::SquashHost(shift) => push(&mut map.to_guest, shift, Becomes::One)?,
                IdRule::ForbidGuest(shift) => push(&mut map.to_host, shift, Becomes::Nothing)?,
                IdRule::Both(shift) => {
                    push(&mut map.to_host, shift, Becomes::OneByOne)?;
                    push(&mut map.to_guest, shift.reverse(), Becomes::OneByOne)?;
                }
            }
        }
        Some(map)
    }

    /// # Errors
    /// `EPERM` for an id that is forbidden.
    pub(super) fn to_host(&self, id: u32) -> io::Result<u32> {
        find(&self.to_host, id).ok_or_else(|| errno::error(errno::EPERM))
    }

    pub(super) fn to_guest(&self, id: u32) -> u32 {
        // Nothing is forbidden in this direction.
        find(&self.to_guest, id).unwrap_or(id)
    }
}

fn push(rules: &mut Vec<(Shift, Becomes)>, shift: Shift, becomes: Becomes) -> Option<()> {
    let (first, last) = shift.range().into_inner();
    let apart = |(other, _): &(Shift, Becomes)| {
        last < *other.range().start() || *other.range().end() < first
    };
    if !rules.iter().all(apart) {
        return None;
    }
    rules.push((shift, becomes));
    Some(())
}

fn find(rules: &[(Shift, Becomes)], id: u32) -> Option<u32> {
    match rules.iter().find(|(shift, _)| shift.range().contains(&id)) {
        None => Some(id),
        Some((shift, Becomes::OneByOne)) => Some(shift.to + (id - shift.from)),
        Some((shift, Becomes::One)) => Some(shift.to),
        Some((_, Becomes::Nothing)) => None,
    }
}

/// Both kinds of ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    pub(super) users: IdMap,
    pub(super) groups: IdMap,
}

impl Ids {
    /// Whom the caller is on the host.
    ///
    /// # Errors
    /// `EPERM` where an id is forbidden.
    pub(super) fn caller(&self, context: &Context) -> io::Result<Context> {
        Ok(Context {
            uid: self.users.to_host(context.uid)?,
            gid: self.groups.to_host(context.gid)?,
            ..*context
        })
    }

    pub(super) fn attr(&self, attr: Attr) -> Attr {
        let (uid, gid) = (self.users.to_guest(attr.uid), self.groups.to_guest(attr.gid));
        Attr { uid, gid, ..attr }
    }

    pub(super) fn statx(&self, statx: Statx) -> Statx {
        let (uid, gid) = (self.users.to_guest(statx.uid), self.groups.to_guest(statx.gid));
        Statx { uid, gid, ..statx }
    }
}

impl Passthrough {
    /// As [`Credentials::assume`], for the guest's caller.
    pub(super) fn assume(
        &self,
        context: &Context,
        supplementary_gid: Option<u32>,
        checks: Checks,
    ) -> io::Result<Credentials> {
        let group = supplementary_gid.map(|id| self.ids.groups.to_host(id)).transpose()?;
        Credentials::assume(&self.ids.caller(context)?, group, checks)
    }
}

/// Maps ids at the edges of all rules in both directions.
///
/// # Panics
/// Where a rule leads out of the numbers there are.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn try_out_ids(rules: &[IdRule]) {
    let Some(map) = IdMap::new(rules) else { return };
    for (shift, _) in map.to_host.iter().chain(&map.to_guest) {
        let (first, last) = shift.range().into_inner();
        for id in [first, last, first.saturating_sub(1), last.saturating_add(1)] {
            let _ = map.to_host(id);
            map.to_guest(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(rules: &[&str]) -> Option<IdMap> {
        let rules: Vec<IdRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        IdMap::new(&rules)
    }

    #[test]
    fn each_kind_does_what_it_is_called() {
        let map = map(&[
            "guest:0:1000:10",
            "host:1000:0:10",
            "squash-guest:100:7:50",
            "squash-host:5000/8/2".replace('/', ":").as_str(),
            "forbid-guest:200:2",
            "map:300:400:2",
        ])
        .unwrap();
        for (guest, host) in
            [(0, 1000), (9, 1009), (10, 10), (100, 7), (149, 7), (150, 150), (301, 401)]
        {
            assert_eq!(map.to_host(guest).unwrap(), host, "{guest}");
        }
        for forbidden in [200, 201] {
            assert_eq!(map.to_host(forbidden).unwrap_err().raw_os_error(), Some(libc::EPERM));
        }
        for (host, guest) in
            [(1000, 0), (1009, 9), (1010, 1010), (7, 7), (5000, 8), (5001, 8), (400, 300)]
        {
            assert_eq!(map.to_guest(host), guest, "{host}");
        }
    }

    #[test]
    fn rules_about_the_same_id_contradict_each_other() {
        assert!(map(&["guest:0:1:10", "squash-guest:9:1:1"]).is_none());
        assert!(map(&["map:0:100:10", "host:109:1:1"]).is_none());
        assert!(map(&["guest:0:1:10", "host:0:1:10", "guest:10:1:1"]).is_some());
    }

    #[test]
    fn what_makes_no_sense_is_no_rule() {
        for text in [
            "",
            "guest",
            "guest:",
            "guest:1:2",
            "guest:1:2:3:4",
            "guest:1:2:x",
            "guests:1:2:3",
            "0:1:2",
            "forbid-guest:1:2:3",
            "guest:1/2:3",
            "guest:4294967295:0:2",
            "guest:0:0:0",
            "map:0:4294967295:2",
            "guest:-1:0:1",
        ] {
            assert!(text.parse::<IdRule>().is_err(), "{text}");
        }
        assert!("guest/1/2/3".parse::<IdRule>().is_ok());
        assert!("squash-guest:0:4294967295:2".parse::<IdRule>().is_ok());
    }

    proptest! {
        /// What `map` takes in comes out again.
        #[test]
        fn both_ways_is_the_same_id(
            guest in 0_u32..1000, host in 0_u32..1000, count in 1_u32..100, id in 0_u32..2000,
        ) {
            let shift = Shift { from: guest, to: host, count };
            let map = IdMap::new(&[IdRule::Both(shift)]).unwrap();
            if shift.range().contains(&id) {
                prop_assert_eq!(map.to_guest(map.to_host(id).unwrap()), id);
            } else {
                prop_assert_eq!(map.to_host(id).unwrap(), id);
            }
        }

        #[test]
        fn no_text_does_more_than_fail(text in ".{0,40}") {
            let _ = text.parse::<IdRule>();
        }
    }
}
