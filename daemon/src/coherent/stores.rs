//! Which files the guest may store into through mappings at present.
//!
//! A mapping for writing is there until the guest wants its place in the window for something else, which may be never.
//! Stores come only from what is open for writing. So the file's slots are held while there is such a mapping *and* a
//! handle that is open for writing; when the last one is closed the guest says whether that was all (`Release::idle`,
//! docs/protocol.md, section 6, rule 12).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use coherence::{AnnounceError, Engine, Hold, SlotSet};
use fuse::{Handle, NodeId};
use parking_lot::Mutex;

/// By node. One that is neither open for writing nor mapped for it is not there, or [`Stores::forget`] removes it.
#[derive(Debug, Default)]
pub(super) struct Stores(Mutex<HashMap<NodeId, Storable>>);

#[derive(Debug, Default)]
struct Storable {
    /// What is open for writing.
    open: HashSet<Handle>,
    /// What all its mappings for writing have.
    mapped: Weak<StoreHold>,
}

/// Goes with mappings for writing. While it holds, nobody caches the file.
#[derive(Debug)]
pub(super) struct StoreHold {
    engine: Arc<Engine>,
    slots: SlotSet,
    hold: Mutex<Option<Hold>>,
}

impl Stores {
    /// The guest is about to map a file for writing: it may store into it as soon as it has an answer.
    ///
    /// # Errors
    /// The slots cannot be held.
    pub(super) fn mapping(
        &self,
        node: NodeId,
        engine: &Arc<Engine>,
        slots: SlotSet,
    ) -> Result<Arc<StoreHold>, AnnounceError> {
        let mut all = self.0.lock();
        let storable = all.entry(node).or_default();
        let hold = storable.mapped.upgrade().unwrap_or_else(|| {
            let hold = StoreHold { engine: Arc::clone(engine), slots, hold: Mutex::default() };
            let hold = Arc::new(hold);
            storable.mapped = Arc::downgrade(&hold);
            hold
        });
        hold.take()?;
        Ok(hold)
    }

    /// A file is open for writing, and the guest is about to hear of it: what it has mapped it may store into.
    ///
    /// # Errors
    /// The slots cannot be held. Then the guest must not get the handle.
    pub(super) fn opened(&self, node: NodeId, handle: Handle) -> Result<(), AnnounceError> {
        let mut all = self.0.lock();
        let storable = all.entry(node).or_default();
        if let Some(hold) = storable.mapped.upgrade() {
            hold.take()?;
        }
        storable.open.insert(handle);
        Ok(())
    }

    /// A handle is closed, which may be any. `idle`: nothing stores into mappings of the file any more but through handles
    /// that are still open.
    pub(super) fn closed(&self, node: NodeId, handle: Handle, idle: bool) {
        let mut all = self.0.lock();
        let Some(storable) = all.get_mut(&node) else { return };
        if !storable.open.remove(&handle) || !storable.open.is_empty() {
            return;
        }
        match storable.mapped.upgrade() {
            // Under the lock of all: who opens the file anew holds it after this.
            Some(hold) if idle => drop(hold.hold.lock().take()),
            Some(_) => {}
            None => drop(all.remove(&node)),
        }
    }

    /// The guest has forgotten a node, or a part of what it knows it by.
    pub(super) fn forget(&self, node: NodeId) {
        let mut all = self.0.lock();
        if all.get(&node).is_some_and(|it| it.open.is_empty() && it.mapped.strong_count() == 0) {
            all.remove(&node);
        }
    }

    /// No handle is open any more. Mappings that are left keep what they have.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

impl StoreHold {
    fn take(&self) -> Result<(), AnnounceError> {
        let mut hold = self.hold.lock();
        if hold.is_none() {
            *hold = Some(self.engine.hold(self.slots)?);
        }
        Ok(())
    }
}
