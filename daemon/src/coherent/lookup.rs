//! LOOKUP, RENAME and LINK: names whose replies are stamped, or are better not.

use std::ffi::CStr;
use std::io::Result;

use coherence::SlotSet;
use fuse::abi::Stamp;
use fuse::filesystem::Entry;
use fuse::{Context, FileSystem, NodeId, errno};

use super::{Coherent, stamps};

impl Coherent {
    pub(super) fn do_lookup(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<Entry> {
        let look_up = || self.inner.lookup(ctx, parent, name);
        let is_dot = matches!(name.to_bytes(), b"." | b"..");
        if is_dot || !self.observatory.is_stamping() {
            return look_up();
        }
        let dir = self.inner.tag(parent)?;
        let slot = self.observatory.entry(dir, name.to_bytes())?;
        let Some(slot) = slot else { return look_up() };
        let (result, [snapshot]) = self.observatory.observe(dir, [slot], look_up);
        match result {
            Ok(mut entry) => {
                stamps::set(&mut entry.stamp, Stamp::ENTRY, snapshot);
                Ok(entry)
            }
            Err(error) if error.raw_os_error() == Some(errno::ENOENT) && snapshot.covers() => {
                let stamp = stamps::only(Stamp::ENTRY, snapshot);
                Ok(Entry { stamp, ..Entry::negative(self.inner.entry_ttl()) })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn do_rename(
        &self,
        from: (NodeId, &CStr),
        to: (NodeId, &CStr),
        flags: u32,
    ) -> Result<Stamp> {
        let (old, new) = (self.name(from.0, from.1)?, self.name(to.0, to.1)?);
        self.with_names([old.lock, new.lock], |names| {
            let (_, moved) = self.meaning(&old)?;
            let (meaning, replaced) = self.meaning(&new)?;
            let [old_lock, old_entry, old_dir] = old.touched();
            let [new_lock, new_entry, new_dir] = new.touched();
            let slots =
                [old_lock, old_entry, old_dir, new_lock, new_entry, new_dir, moved, replaced]
                    .into();
            let looked_up = [moved, replaced].into();
            let rename = || self.inner.rename_meant(from, to, flags, &meaning);
            names.change(slots, looked_up, rename)
        })?;
        // The new name's stamp would be believed of the inode that the guest takes for the moved one. What the old
        // name meant may have changed since the guest looked it up, and the reply does not say what was moved.
        Ok(Stamp::default())
    }

    pub(super) fn do_link(
        &self,
        ctx: &Context,
        node: NodeId,
        new_parent: NodeId,
        new_name: &CStr,
    ) -> Result<Entry> {
        let name = self.name(new_parent, new_name)?;
        let tag = self.inner.tag(node)?;
        let cover = self.observatory.cover(tag);
        let attr = self.slots_of(tag)?.map(|slots| slots.attr);
        let (mut entry, published) = self.with_names([name.lock, None], |names| {
            let [lock, entry, parent] = name.touched();
            let slots = SlotSet::from([lock, entry, parent, attr]);
            let link = || self.inner.link(ctx, node, new_parent, new_name);
            names.change(slots, SlotSet::EMPTY, link)
        })?;
        name.vouch(&mut entry, &published);
        if let Some(attr) = attr {
            let snapshot = stamps::after(&published, attr, cover.as_ref());
            stamps::set(&mut entry.stamp, Stamp::ATTR, snapshot);
        }
        Ok(entry)
    }
}
