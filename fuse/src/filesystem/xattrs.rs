//! Extended attributes.

use std::ffi::CStr;

use super::{Result, XattrReply, unsupported};
use crate::ids::{Context, NodeId};

/// Extended attributes. Names come with their namespace ("user.x").
#[allow(unused_variables, clippy::missing_errors_doc)]
pub trait Xattrs {
    /// Sets an extended attribute. `flags` are `setxattr(2)`'s; `kill_sgid` comes with a `system.posix_acl_access`
    /// that must clear sgid (`FUSE_SETXATTR_ACL_KILL_SGID`).
    fn setxattr(
        &self,
        ctx: &Context,
        node: NodeId,
        name: &CStr,
        value: &[u8],
        flags: u32,
        kill_sgid: bool,
    ) -> Result<()> {
        unsupported()
    }

    /// Reads an extended attribute. `size` 0 asks for its length; too small a size is `ERANGE`.
    fn getxattr(&self, ctx: &Context, node: NodeId, name: &CStr, size: u32) -> Result<XattrReply> {
        unsupported()
    }

    /// Names of extended attributes, each ended by NUL. `size` as for [`Self::getxattr`].
    fn listxattr(&self, ctx: &Context, node: NodeId, size: u32) -> Result<XattrReply> {
        unsupported()
    }

    /// Removes an extended attribute.
    fn removexattr(&self, ctx: &Context, node: NodeId, name: &CStr) -> Result<()> {
        unsupported()
    }
}
