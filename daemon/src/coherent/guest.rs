//! What a guest agrees to, and what its replies are made of.

use std::io::Result;

use fuse::NodeId;
use fuse::abi::{InitFlags, Stamp};
use fuse::filesystem::Offer;

use super::{Coherent, stamps};

impl Coherent {
    /// Whether the guest has mapped this daemon's table, and may use it.
    pub(super) fn agrees(&self, offer: &Offer) -> bool {
        if !offer.flags.contains(InitFlags::VERSION_TABLE) {
            return false;
        }
        let engine = self.observatory.engine();
        if offer.table_id != engine.table_id() {
            tracing::warn!("the guest has mapped another version table: it caches by timeouts");
            return false;
        }
        if !self.may_cache {
            tracing::info!("--cache never: the guest has the version table and does not need it");
            return false;
        }
        if engine.is_lost() {
            return false;
        }
        tracing::info!("the guest is coherent");
        true
    }

    /// Observes an inode's slots, then reads; the stamp vouches for what was read. All zero for a guest without a table.
    pub(super) fn observed<T>(&self, node: NodeId, read: impl FnOnce() -> T) -> Result<(T, Stamp)> {
        if !self.observatory.is_stamping() {
            return Ok((read(), Stamp::default()));
        }
        let tag = self.inner.tag(node)?;
        let Some(slots) = self.slots_of(tag)? else { return Ok((read(), Stamp::default())) };
        let slots = [slots.perm, slots.attr, slots.data];
        let (value, snapshots) = self.observatory.observe(tag, slots, read);
        Ok((value, stamps::of_inode(snapshots)))
    }
}
