//! The DAX window.

use super::{RemoveMapping, Result, SetupMapping, unsupported};
use crate::ids::{Context, Handle, NodeId};
use crate::mapper::Mapper;

/// Files' pages in the guest's DAX window.
#[allow(unused_variables, clippy::missing_errors_doc)]
pub trait Mappings {
    /// Maps a stretch of a file into the DAX window. `handle` may be none: the guest maps inodes, not open files.
    fn setup_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        setup: &SetupMapping,
        mapper: &dyn Mapper,
    ) -> Result<()> {
        unsupported()
    }

    /// Takes stretches out of the DAX window.
    fn remove_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        remove: &[RemoveMapping],
        mapper: &dyn Mapper,
    ) -> Result<()> {
        unsupported()
    }
}
