//! From what the host knows a thing by to the slots that cover it.

use std::hash::Hasher;

use shm_layout::FIRST_SLOT;
use siphasher::sip::SipHasher13;

use crate::slots::SlotIndex;

/// The secret that places slots. It lives in the host-only file: a guest that knew it could aim collisions at others.
pub type HashKey = [u8; 16];

/// What the host knows an inode by. Two daemons that export overlapping trees come to the same identity without
/// talking, so the rule which form is used belongs to the file system, never to a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity<'a> {
    /// The file system and a file handle (`name_to_handle_at`), which tells an inode number's lives apart and is what
    /// fanotify reports.
    Handle {
        /// `f_fsid` of `statfs(2)`, as fanotify reports it.
        fsid: [i32; 2],
        /// `handle_type`.
        kind: i32,
        /// `f_handle`.
        handle: &'a [u8],
    },
    /// Device and inode number, where the file system gives no handles.
    Inode {
        /// `stx_dev`, as `dev_t`.
        dev: u64,
        /// `stx_ino`.
        ino: u64,
    },
}

/// An inode's identity, hashed: eight bytes that stand for it. Two inodes with one key would share all their slots,
/// which costs refetches and is never wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeKey(pub u64);

/// The slots of an inode. They stand side by side, in one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InodeSlots {
    /// Type, mode, owner, ACLs, flags.
    pub perm: SlotIndex,
    /// Every attribute but atime, xattrs, symlink target, directory listing.
    pub attr: SlotIndex,
    /// Contents.
    pub data: SlotIndex,
}

/// Places slots: a keyed SipHash of the identity chooses a *bucket* of four slots. An inode's bucket holds its perm,
/// attr and data slots; a name's bucket holds its entry slot (`docs/adr/0004-slot-placement.md`).
///
/// | word of a bucket | 0 | 1 | 2 | 3 |
/// | --- | --- | --- | --- | --- |
/// | covers | entry | perm | attr | data |
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    key: HashKey,
    /// Buckets of the table, those that lie in the header included.
    buckets: u32,
}

/// Slots of a bucket.
pub const BUCKET_SLOTS: u32 = 4;

/// Buckets that lie in the header.
const FIRST_BUCKET: u32 = FIRST_SLOT / BUCKET_SLOTS;
const _: () = assert!(FIRST_SLOT.is_multiple_of(BUCKET_SLOTS));

/// What is hashed, so that an inode and a name never feed the hash the same bytes.
#[derive(Clone, Copy)]
enum Domain {
    Handle = 1,
    Inode = 2,
    InodeBucket = 3,
    NameBucket = 4,
}

impl Placement {
    /// Places slots in a table of `words` words (header included, a power of two).
    #[must_use]
    pub const fn new(key: HashKey, words: u64) -> Self {
        Self { key, buckets: (words / BUCKET_SLOTS as u64) as u32 }
    }

    /// The key that stands for an inode.
    #[must_use]
    pub fn inode(&self, identity: &Identity<'_>) -> InodeKey {
        InodeKey(match *identity {
            Identity::Handle { fsid, kind, handle } => {
                let mut hash = self.hasher(Domain::Handle);
                hash.write_i32(fsid[0]);
                hash.write_i32(fsid[1]);
                hash.write_i32(kind);
                hash.write(handle);
                hash.finish()
            }
            Identity::Inode { dev, ino } => {
                let mut hash = self.hasher(Domain::Inode);
                hash.write_u64(dev);
                hash.write_u64(ino);
                hash.finish()
            }
        })
    }

    /// The slots of an inode.
    #[must_use]
    pub fn inode_slots(&self, inode: InodeKey) -> InodeSlots {
        let mut hash = self.hasher(Domain::InodeBucket);
        hash.write_u64(inode.0);
        let bucket = self.bucket(hash.finish());
        InodeSlots { perm: slot(bucket, 1), attr: slot(bucket, 2), data: slot(bucket, 3) }
    }

    /// The slot of a name in a directory, whether the name exists or not.
    #[must_use]
    pub fn entry(&self, parent: InodeKey, name: &[u8]) -> SlotIndex {
        let mut hash = self.hasher(Domain::NameBucket);
        hash.write_u64(parent.0);
        hash.write(name);
        slot(self.bucket(hash.finish()), 0)
    }

    fn hasher(&self, domain: Domain) -> SipHasher13 {
        let mut hash = SipHasher13::new_with_key(&self.key);
        hash.write_u8(domain as u8);
        hash
    }

    /// Scales a hash to the buckets behind the header (multiply and shift: no division, no bias worth the name).
    fn bucket(&self, hash: u64) -> u32 {
        let range = u64::from(self.buckets - FIRST_BUCKET);
        FIRST_BUCKET + ((u128::from(hash) * u128::from(range)) >> 64) as u32
    }
}

/// Slot `at` of a bucket, which lies behind the header.
fn slot(bucket: u32, at: u32) -> SlotIndex {
    let header_end = const { SlotIndex::new(FIRST_SLOT).unwrap() };
    SlotIndex::new(bucket * BUCKET_SLOTS + at).unwrap_or(header_end)
}

#[cfg(all(test, not(loom)))]
#[path = "hash_tests.rs"]
mod tests;
