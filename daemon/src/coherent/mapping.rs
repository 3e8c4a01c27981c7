//! SETUPMAPPING: what is stored through a mapping changes a file without a word, so the file's slots stay busy until the
//! mapping is gone (docs/protocol.md, section 7).

use std::io;
use std::sync::Arc;

use coherence::SlotSet;
use fuse::filesystem::{Mappings, RemoveMapping, SetupMapping};
use fuse::{Context, Handle, Held, Mapper, Mapping, NodeId};

use super::{Coherent, refused};

impl Mappings for Coherent {
    fn setup_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        setup: &SetupMapping,
        mapper: &dyn Mapper,
    ) -> io::Result<()> {
        let slots = if setup.writable { self.slots(node)? } else { None };
        let Some(slots) = slots else {
            return self.inner.setup_mapping(ctx, node, handle, setup, mapper);
        };
        // Before anything can be stored.
        let slots = SlotSet::from([Some(slots.attr), Some(slots.data)]);
        let hold = self.observatory.engine().hold(slots).map_err(refused)?;
        let holding = Holding { mapper, hold: Arc::new(hold) };
        self.inner.setup_mapping(ctx, node, handle, setup, &holding)
    }

    fn remove_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        remove: &[RemoveMapping],
        mapper: &dyn Mapper,
    ) -> io::Result<()> {
        self.inner.remove_mapping(ctx, node, remove, mapper)
    }
}

/// Lets what is mapped hold the file's slots.
struct Holding<'a> {
    mapper: &'a dyn Mapper,
    hold: Held,
}

impl Mapper for Holding<'_> {
    fn map(&self, mapping: &Mapping<'_>) -> io::Result<()> {
        let held = Some(Arc::clone(&self.hold));
        self.mapper.map(&Mapping { held, ..mapping.clone() })
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        self.mapper.unmap(window_offset, len)
    }
}
