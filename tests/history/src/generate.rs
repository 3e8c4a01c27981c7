//! Random operations, the same for the same seed.

use crate::op::{Call, DIRECTORIES, NAMES, Operation, Path, USER};

/// Who runs the operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A guest that promises never to use what is stale.
    Coherent,
    /// A guest that may use stale names: it only does what can be told apart all the same.
    Stock,
    /// A guest that only looks, at names in the directories themselves, while the host changes them.
    Looker,
}

impl Role {
    fn makes(self, call: Call) -> bool {
        match self {
            Self::Coherent => true,
            Self::Stock => FOR_STOCK.contains(&call),
            Self::Looker => call.only_looks() && call != Call::Access,
        }
    }
}

/// What the operations are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Names, attributes and contents.
    Everything,
    /// Contents, and with them sizes, of one file in each directory.
    Contents,
}

impl Mix {
    fn weights(self) -> &'static [(Call, u32)] {
        match self {
            Self::Everything => WEIGHTS,
            Self::Contents => CONTENTS,
        }
    }
}

/// An endless source of operations.
#[derive(Debug)]
pub struct Generator {
    random: fastrand::Rng,
    role: Role,
    mix: Mix,
    last_value: u64,
}

/// An odd number, so that different values stay different when multiplied by it. Their bytes differ nearly everywhere
/// then: a word that was read in parts, at two moments, is no word that was ever written.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// How often each call is made, out of the sum of all.
const WEIGHTS: &[(Call, u32)] = &[
    (Call::Create, 6),
    (Call::CreateOrTruncate, 2),
    (Call::Mkdir, 2),
    (Call::Symlink, 1),
    (Call::Unlink, 10),
    (Call::Rmdir, 5),
    (Call::Rename, 5),
    (Call::RenameNoReplace, 2),
    (Call::Exchange, 2),
    (Call::Link, 5),
    (Call::Chmod, 3),
    (Call::Chown, 2),
    (Call::Truncate, 2),
    (Call::Write, 4),
    (Call::SetTime, 2),
    (Call::SetXattr, 2),
    (Call::Stat, 24),
    (Call::Read, 12),
    (Call::ReadLink, 3),
    (Call::GetXattr, 3),
    (Call::Access, 6),
    (Call::List, 5),
];

/// As [`WEIGHTS`], where contents are all that matters.
const CONTENTS: &[(Call, u32)] = &[
    (Call::Create, 4),
    (Call::CreateOrTruncate, 8),
    (Call::Unlink, 2),
    (Call::Truncate, 12),
    (Call::Write, 16),
    (Call::Stat, 8),
    (Call::Read, 50),
];

/// Calls of a stock guest whose effect does not hang on what it believes a name to be, or whose
/// outcome says which file it was.
const FOR_STOCK: &[Call] = &[
    Call::Create,
    Call::CreateOrTruncate,
    Call::Mkdir,
    Call::Symlink,
    Call::Unlink,
    Call::Rmdir,
    Call::Rename,
    Call::RenameNoReplace,
    Call::Truncate,
    Call::Write,
    Call::SetXattr,
];

impl Generator {
    /// Operations for the thread with this log. Values that must be unlike any other hold its
    /// number.
    #[must_use]
    pub fn new(seed: u64, log: u32, role: Role, mix: Mix) -> Self {
        let random =
            fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9).wrapping_add(log.into()));
        Self { random, role, mix, last_value: (u64::from(log) + 1) << 20 }
    }

    /// The next one.
    pub fn operation(&mut self) -> Operation {
        let call = self.call();
        let path = self.path(call);
        let mut to = path;
        if call.has_second_path() {
            to = self.name();
        }
        let value = self.value(call);
        Operation { call, path, to, value }
    }

    fn call(&mut self) -> Call {
        loop {
            let weights = self.mix.weights();
            let sum = weights.iter().map(|(_, weight)| weight).sum();
            let mut left = self.random.u32(0..sum);
            let chosen = weights.iter().find(|(_, weight)| {
                let here = left < *weight;
                left = left.saturating_sub(*weight);
                here
            });
            match chosen {
                Some((call, _)) if self.role.makes(*call) => return *call,
                _ => {}
            }
        }
    }

    fn name(&mut self) -> Path {
        let names = if self.mix == Mix::Contents { 1 } else { NAMES };
        let (directory, name) = (self.random.u8(0..DIRECTORIES), self.random.u8(0..names));
        Path { directory, name, leaf: None }
    }

    /// Some paths go through a directory that may be renamed at any time. Those of a user without
    /// rights, and those of a guest that may believe in old directories, do not.
    fn path(&mut self, call: Call) -> Path {
        let mut path = self.name();
        let one_name = call.has_second_path()
            || matches!(call, Call::Mkdir | Call::Rmdir | Call::Access | Call::List)
            || self.mix == Mix::Contents
            || self.role != Role::Coherent;
        if !one_name && self.random.u8(0..4) == 0 {
            path.leaf = Some(self.random.u8(0..NAMES));
        }
        path
    }

    fn next_value(&mut self) -> u64 {
        self.last_value += 1;
        self.last_value
    }

    fn value(&mut self, call: Call) -> u64 {
        match call {
            Call::Chmod => self.random.u64(0..0o1000),
            Call::Chown => [0, USER.into(), 1001, 1002][self.random.usize(0..4)],
            Call::Truncate => [0, 3, 8, 8, 20, 64][self.random.usize(0..6)],
            Call::Access => [4, 2, 6][self.random.usize(0..3)],
            Call::Write => self.next_value().wrapping_mul(SPREAD),
            Call::Symlink | Call::SetTime | Call::SetXattr => self.next_value(),
            _ => 0,
        }
    }
}
