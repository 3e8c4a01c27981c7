//! The inodes that the guest knows, by node id and by what the host calls them.
//!
//! Both maps are in shards, so that threads seldom meet. A lookup of a known inode takes one read lock and one
//! atomic; the lock of an identity's shard decides between a lookup and the FORGET of the last one before it. Locks are
//! taken in the order identity, node; no system call happens under them.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuse::NodeId;
use parking_lot::RwLock;

use super::identity::Identity;
use super::inode::Inode;

const SHARDS: usize = 64;

type ByNode = HashMap<u64, Arc<Inode>, BuildHasherDefault<Spread>>;
/// Its members compare by identity, which never changes.
type ByIdentity = HashSet<Known>;

/// All inodes that the guest knows, besides the root.
#[derive(Debug)]
pub(super) struct Inodes {
    by_node: Box<[RwLock<ByNode>]>,
    by_identity: Box<[RwLock<ByIdentity>]>,
    shard_hasher: RandomState,
    next: AtomicU64,
    root: Arc<Inode>,
}

impl Inodes {
    /// A store in which only the root is known.
    pub(super) fn new(root: Arc<Inode>) -> Self {
        let inodes = Self {
            by_node: (0..SHARDS).map(|_| RwLock::default()).collect(),
            by_identity: (0..SHARDS).map(|_| RwLock::default()).collect(),
            shard_hasher: RandomState::new(),
            next: AtomicU64::new(NodeId::ROOT.0 + 1),
            root,
        };
        inodes.add_root();
        inodes
    }

    /// A node id that no inode ever had.
    pub(super) fn fresh_id(&self) -> NodeId {
        // Relaxed: only uniqueness matters.
        NodeId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The lowest number that no inode ever had.
    pub(super) fn next(&self) -> u64 {
        // Relaxed: asked while nothing else goes on.
        self.next.load(Ordering::Relaxed)
    }

    /// No inode is given a number below `next`.
    pub(super) fn go_on_from(&self, next: u64) {
        // Relaxed: only uniqueness matters.
        self.next.fetch_max(next, Ordering::Relaxed);
    }

    /// The root.
    pub(super) fn root(&self) -> &Arc<Inode> {
        &self.root
    }

    /// All but the root.
    pub(super) fn all(&self) -> Vec<Arc<Inode>> {
        self.by_node
            .iter()
            .flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// The inode that the guest calls `node`.
    pub(super) fn get(&self, node: NodeId) -> Option<Arc<Inode>> {
        if node == NodeId::ROOT {
            return Some(Arc::clone(&self.root));
        }
        self.node_shard(node).read().get(&node.0).cloned()
    }

    /// The inode with this identity, without counting a lookup.
    pub(super) fn find(&self, identity: &Identity) -> Option<Arc<Inode>> {
        self.identity_shard(identity).read().get(identity).map(|known| Arc::clone(&known.0))
    }

    /// The inode with this identity, with one more lookup counted; none where the guest does not know it.
    pub(super) fn claim(&self, identity: &Identity) -> Option<Arc<Inode>> {
        self.find(identity).filter(|inode| inode.look_up())
    }

    /// Enters an inode whose first lookup is counted already. Where another thread was faster, its inode has one more
    /// lookup instead, and `fresh` is dropped.
    pub(super) fn insert(&self, fresh: Inode) -> Arc<Inode> {
        let fresh = Arc::new(fresh);
        let mut identities = self.identity_shard(&fresh.identity).write();
        if let Some(known) = identities.get(&fresh.identity) {
            known.0.revive();
            let known = Arc::clone(&known.0);
            drop(identities);
            return known;
        }
        identities.insert(Known(Arc::clone(&fresh)));
        self.node_shard(fresh.nodeid).write().insert(fresh.nodeid.0, Arc::clone(&fresh));
        drop(identities);
        fresh
    }

    /// Takes back `count` lookups of `node`; the guest may not use its id once none remain.
    pub(super) fn forget(&self, node: NodeId, count: u64) {
        if node == NodeId::ROOT {
            return;
        }
        let Some(inode) = self.get(node) else { return };
        if inode.forget(count) {
            self.remove(inode);
        }
    }

    /// Takes an inode out that had no lookups left a moment ago.
    pub(super) fn remove(&self, inode: Arc<Inode>) {
        let mut identities = self.identity_shard(&inode.identity).write();
        // Another thread may have looked it up again, or finished this very work, before the lock was had.
        let own =
            identities.get(&inode.identity).is_some_and(|known| Arc::ptr_eq(&known.0, &inode));
        if !own || !inode.is_forgotten() {
            return;
        }
        let known = identities.take(&inode.identity);
        let node = self.node_shard(inode.nodeid).write().remove(&inode.nodeid.0);
        drop(identities);
        // Last, and under no lock: this may close a descriptor, which can block.
        drop((known, node, inode));
    }

    /// Forgets everything but the root.
    #[allow(clippy::mutable_key_type)] // See `ByIdentity`.
    pub(super) fn clear(&self) {
        for shard in &self.by_identity {
            let identities = std::mem::take(&mut *shard.write());
            for known in identities {
                self.node_shard(known.0.nodeid).write().remove(&known.0.nodeid.0);
            }
        }
        self.add_root();
    }

    fn add_root(&self) {
        self.identity_shard(&self.root.identity).write().insert(Known(Arc::clone(&self.root)));
    }

    fn node_shard(&self, node: NodeId) -> &RwLock<ByNode> {
        &self.by_node[node.0 as usize % SHARDS]
    }

    fn identity_shard(&self, identity: &Identity) -> &RwLock<ByIdentity> {
        &self.by_identity[self.shard_hasher.hash_one(identity) as usize % SHARDS]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_node.iter().map(|shard| shard.read().len()).sum()
    }
}

/// An inode as a member of the set of identities.
#[derive(Debug)]
struct Known(Arc<Inode>);

impl Borrow<Identity> for Known {
    fn borrow(&self) -> &Identity {
        &self.0.identity
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.identity.hash(state);
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity == other.0.identity
    }
}

impl Eq for Known {}

/// Hashes node ids and handles. The store makes them up itself, one after the other, so nobody can make them collide
/// and all that is needed is to spread them over the hash's upper bits (Knuth's multiplicative hash).
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(32);
    }
}
