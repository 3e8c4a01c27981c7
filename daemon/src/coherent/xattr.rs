//! Extended attributes: some of them are permissions.

use std::ffi::CStr;
use std::io::Result;

use coherence::SlotSet;
use fuse::filesystem::{XattrReply, Xattrs};
use fuse::{Context, NodeId};

use super::{Coherent, attributes, permissions};
use crate::passthrough::is_permission_xattr;

impl Xattrs for Coherent {
    fn setxattr(
        &self,
        ctx: &Context,
        node: NodeId,
        name: &CStr,
        value: &[u8],
        flags: u32,
        kill_sgid: bool,
    ) -> Result<()> {
        let set = || self.inner.setxattr(ctx, node, name, value, flags, kill_sgid);
        self.change(self.xattr_slots(node, name)?, set).map(|((), _)| ())
    }

    fn getxattr(&self, ctx: &Context, node: NodeId, name: &CStr, size: u32) -> Result<XattrReply> {
        self.inner.getxattr(ctx, node, name, size)
    }

    fn listxattr(&self, ctx: &Context, node: NodeId, size: u32) -> Result<XattrReply> {
        self.inner.listxattr(ctx, node, size)
    }

    fn removexattr(&self, ctx: &Context, node: NodeId, name: &CStr) -> Result<()> {
        let remove = || self.inner.removexattr(ctx, node, name);
        self.change(self.xattr_slots(node, name)?, remove).map(|((), _)| ())
    }
}

impl Coherent {
    fn xattr_slots(&self, node: NodeId, name: &CStr) -> Result<SlotSet> {
        let slots = self.slots(node)?;
        Ok(if is_permission_xattr(name) { permissions(slots) } else { attributes(slots) })
    }
}
