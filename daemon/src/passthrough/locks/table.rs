//! Who has locked what, and who waits for it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use fuse::filesystem::{LockKind, RecordLock};
use fuse::{Handle, NodeId, errno};
use smallvec::SmallVec;

use super::host::{self, Wait};
use super::ranges::{Range, Ranges};
use super::{Noted, Stretch, Waiting};
use crate::passthrough::descriptors::Descriptor;
use crate::passthrough::stat::stat;
use crate::sys;

/// Most stretches that a guest may have locked: each costs memory of the host's kernel, and
/// the kernel goes through all of a file's one by one.
pub(in crate::passthrough) const MAX_RANGES: usize = 1 << 14;
/// Interrupts that came before their requests, as many as are remembered.
const MAX_EARLY: usize = 64;

/// What a descriptor is open for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Access {
    /// Reading, which read locks need.
    Read,
    /// Writing too, which write locks need.
    Write,
}

impl Access {
    /// What a lock of this kind needs.
    pub(super) fn of(kind: LockKind) -> Self {
        if kind == LockKind::Write { Self::Write } else { Self::Read }
    }
}

/// A descriptor that carries one owner's locks on one file.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) descriptor: Descriptor,
    pub(super) access: Access,
    /// The host's numbers for the file's device and inode.
    file: (u64, u64),
}

impl Carrier {
    /// # Errors
    /// Where the host does not tell which file it is.
    pub(super) fn new(descriptor: Descriptor, access: Access) -> io::Result<Self> {
        let stat = stat(&descriptor)?;
        Ok(Self { descriptor, access, file: (stat.device(), stat.ino()) })
    }
}

/// One owner's locks on one file.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) carrier: Arc<Carrier>,
    ranges: Ranges,
    /// The open files that it has named since it last gave everything up.
    handles: SmallVec<[Handle; 2]>,
    /// Those who wait for a lock of this owner: the entry stays as long as there are any.
    waiters: usize,
    /// The process in the guest that has locked last.
    pid: u32,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    Record { node: NodeId, handle: Handle, lock: RecordLock },
    Whole { node: NodeId, handle: Handle },
}

impl Wanted {
    /// Whether it was asked for by this open file.
    pub(super) fn is_by(&self, of: NodeId, by: Handle) -> bool {
        let (Self::Record { node, handle, .. } | Self::Whole { node, handle }) = *self;
        (node, handle) == (of, by)
    }
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) unique: u64,
    pub(super) wanted: Wanted,
    /// The error number that ends the wait.
    pub(super) cancelled: Option<i32>,
    /// None until the thread runs.
    pub(super) thread: Option<sys::Thread>,
    /// Other guests' daemons know of it.
    noted: Option<Box<dyn Noted>>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Table {
    files: HashMap<NodeId, HashMap<u64, Owner>>,
    pub(super) waiters: HashMap<u64, Waiter>,
    tokens: u64,
    ranges: usize,
    early: VecDeque<u64>,
}

impl Table {
    pub(super) fn owner(&self, node: NodeId, owner: u64) -> Option<&Owner> {
        self.files.get(&node)?.get(&owner)
    }

    fn owner_mut(&mut self, node: NodeId, owner: u64) -> Option<&mut Owner> {
        self.files.get_mut(&node)?.get_mut(&owner)
    }

    /// Whether the owner has a descriptor with as much access.
    pub(super) fn has_carrier(&self, node: NodeId, owner: u64, access: Access) -> bool {
        self.owner(node, owner).is_some_and(|owner| owner.carrier.access >= access)
    }

    /// The process in the guest whose lock this is, or 0.
    pub(super) fn holder(&self, node: NodeId, lock: &RecordLock) -> u32 {
        let exclusive = RecordLock { kind: LockKind::Write, ..*lock };
        let owners = self.files.get(&node).into_iter().flatten();
        let met = owners.filter_map(|(_, owner)| Some((owner.ranges.conflict(&exclusive)?, owner)));
        met.filter(|(range, _)| range.start == lock.start)
            .map(|(_, owner)| owner.pid)
            .next()
            .unwrap_or(0)
    }

    /// Enters an owner with its descriptor. An owner who had one that is good for read locks only takes these along:
    /// nobody can get between, for while they are held by both nobody else has a write lock. Answers the descriptor that
    /// is left over.
    pub(super) fn enter(
        &mut self,
        node: NodeId,
        owner: u64,
        carrier: Carrier,
    ) -> io::Result<Option<Arc<Carrier>>> {
        let carrier = Arc::new(carrier);
        let Some(known) = self.owner_mut(node, owner) else {
            let fresh = Owner {
                carrier,
                ranges: Ranges::default(),
                handles: SmallVec::new(),
                waiters: 0,
                pid: 0,
            };
            self.files.entry(node).or_default().insert(owner, fresh);
            return Ok(None);
        };
        if known.carrier.access >= carrier.access {
            return Ok(Some(carrier));
        }
        for range in known.ranges.iter() {
            let (start, end) = (range.start, range.end);
            let lock = RecordLock { owner, start, end, kind: LockKind::Read, pid: 0 };
            host::set(&carrier.descriptor, &lock, Wait::No)?;
        }
        let old = std::mem::replace(&mut known.carrier, carrier);
        host::release(&old.descriptor);
        Ok(Some(old))
    }

    /// Locks or unlocks, if nobody is in the way.
    pub(super) fn set(
        &mut self,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
    ) -> io::Result<()> {
        if lock.kind != LockKind::Unlock && self.ranges >= MAX_RANGES {
            return Err(errno::error(errno::ENOLCK));
        }
        self.enter_lock(node, handle, lock)
    }

    /// As [`Self::set`], for a lock that the kernel has given already: there may be one too many for each who waits.
    pub(super) fn enter_lock(
        &mut self,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
    ) -> io::Result<()> {
        let Some(owner) = self.owner_mut(node, lock.owner) else { return Ok(()) };
        host::set(&owner.carrier.descriptor, lock, Wait::No)?;
        let before = owner.ranges.len();
        owner.ranges.set(lock);
        owner.pid = lock.pid;
        let after = owner.ranges.len();
        if !owner.handles.contains(&handle) {
            owner.handles.push(handle);
        }
        self.ranges = self.ranges + after - before;
        self.renew_notes(lock.owner);
        Ok(())
    }

    /// Takes out an owner who has nothing and waits for nothing.
    pub(super) fn tidy(&mut self, node: NodeId, owner: u64) -> Option<Owner> {
        let idle = |owner: &Owner| owner.ranges.is_empty() && owner.waiters == 0;
        let owners = self.files.get_mut(&node)?;
        if !owners.get(&owner).is_some_and(idle) {
            return None;
        }
        let gone = owners.remove(&owner);
        if owners.is_empty() {
            self.files.remove(&node);
        }
        gone
    }

    /// The owner gives up everything on this file.
    pub(super) fn forget(&mut self, node: NodeId, owner: u64) -> Option<Owner> {
        let known = self.owner_mut(node, owner)?;
        host::release(&known.carrier.descriptor);
        let held = known.ranges.len();
        known.ranges.clear();
        known.handles.clear();
        self.ranges -= held;
        self.renew_notes(owner);
        self.tidy(node, owner)
    }

    /// The owners who have locked the file by this handle.
    pub(super) fn owners_of(&self, node: NodeId, handle: Handle) -> Vec<u64> {
        let owners = self.files.get(&node).into_iter().flatten();
        owners.filter(|(_, known)| known.handles.contains(&handle)).map(|(id, _)| *id).collect()
    }

    /// Everything goes.
    pub(super) fn take_files(&mut self) -> HashMap<NodeId, HashMap<u64, Owner>> {
        self.ranges = 0;
        self.early.clear();
        std::mem::take(&mut self.files)
    }

    /// Whether `lock` would wait for somebody who waits, by however many others, for its owner: as far as this guest's
    /// owners go.
    pub(super) fn is_deadlock(&self, node: NodeId, lock: &RecordLock) -> bool {
        let mut open = self.in_the_way(node, lock);
        let mut seen = HashSet::new();
        while let Some(owner) = open.pop() {
            if owner == lock.owner {
                return true;
            }
            if !seen.insert(owner) {
                continue;
            }
            for waiter in self.waiters.values() {
                if let Wanted::Record { node, lock, .. } = &waiter.wanted
                    && lock.owner == owner
                {
                    open.extend(self.in_the_way(*node, lock));
                }
            }
        }
        false
    }

    /// The other owners in this guest whose locks conflict with `lock`.
    fn in_the_way(&self, node: NodeId, lock: &RecordLock) -> Vec<u64> {
        let owners = self.files.get(&node).into_iter().flatten();
        owners
            .filter(|(id, known)| **id != lock.owner && known.ranges.conflict(lock).is_some())
            .map(|(id, _)| *id)
            .collect()
    }

    /// The owner as one who waits for `lock`.
    pub(super) fn waiting(&self, node: NodeId, lock: &RecordLock) -> Option<Waiting> {
        let write = lock.kind == LockKind::Write;
        let file = self.owner(node, lock.owner)?.carrier.file;
        let wanted = stretch(file, Range { start: lock.start, end: lock.end, write });
        let mine = self.files.values().filter_map(|owners| owners.get(&lock.owner));
        let held = mine.flat_map(|mine| mine.ranges.iter().map(|r| stretch(mine.carrier.file, *r)));
        Some(Waiting { owner: lock.owner, wanted, held: held.collect() })
    }

    /// What an owner has locked has changed, one of whose threads may wait.
    fn renew_notes(&self, owner: u64) {
        for waiter in self.waiters.values() {
            if let (Wanted::Record { node, lock, .. }, Some(noted)) =
                (&waiter.wanted, &waiter.noted)
                && lock.owner == owner
                && let Some(waiting) = self.waiting(*node, lock)
            {
                noted.renew(&waiting);
            }
        }
    }

    /// Counts somebody who waits; answers the number to end it by.
    pub(super) fn begin_wait(
        &mut self,
        unique: u64,
        wanted: Wanted,
        noted: Option<Box<dyn Noted>>,
    ) -> u64 {
        if let Wanted::Record { node, lock, .. } = &wanted
            && let Some(owner) = self.owner_mut(*node, lock.owner)
        {
            owner.waiters += 1;
        }
        self.tokens += 1;
        let waiter = Waiter { unique, wanted, cancelled: None, thread: None, noted };
        self.waiters.insert(self.tokens, waiter);
        self.tokens
    }

    /// The wait is over. Answers the owner, if nothing is left of it.
    pub(super) fn end_wait(&mut self, token: u64) -> Option<Owner> {
        let waiter = self.waiters.remove(&token)?;
        let Wanted::Record { node, lock, .. } = waiter.wanted else { return None };
        self.owner_mut(node, lock.owner)?.waiters -= 1;
        self.tidy(node, lock.owner)
    }

    /// An interrupt for a request that does not wait, yet.
    pub(super) fn remember_early(&mut self, unique: u64) {
        if self.early.len() == MAX_EARLY {
            self.early.pop_front();
        }
        self.early.push_back(unique);
    }

    /// Whether the request was interrupted before it began to wait.
    pub(super) fn was_interrupted(&mut self, unique: u64) -> bool {
        let found = self.early.iter().position(|early| *early == unique);
        found.and_then(|position| self.early.remove(position)).is_some()
    }

    /// How many stretches are locked, and how many wait.
    pub(super) fn figures(&self) -> (usize, usize) {
        (self.ranges, self.waiters.len())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.waiters.is_empty() && self.ranges == 0
    }
}

fn stretch((device, inode): (u64, u64), Range { start, end, write }: Range) -> Stretch {
    Stretch { device, inode, start, end, write }
}
