//! Extended attributes.

use crate::abi::{GetxattrIn, SETXATTR_ACL_KILL_SGID, SetxattrExtIn, SetxattrIn};
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::server::Wire;

use super::Operation;
use super::fields::Fields;

/// Longest value, and longest list of names, in bytes (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
pub(crate) const XATTR_MAX: u32 = 1 << 16;

pub(super) fn setxattr<'a>(fields: &mut Fields<'a>, wire: Wire) -> Outcome<Operation<'a>> {
    let SetxattrIn { size, flags } = fields.take()?;
    let extra =
        if wire.setxattr_ext() { fields.take()? } else { SetxattrExtIn::default() }.setxattr_flags;
    let name = fields.xattr_name()?;
    if size > XATTR_MAX {
        return Err(Failure::Errno(errno::E2BIG));
    }
    let value = fields.bytes(size as usize)?;
    let kill_sgid = extra & SETXATTR_ACL_KILL_SGID != 0;
    Ok(Operation::Setxattr { name, value, flags, kill_sgid })
}

pub(super) fn getxattr<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let GetxattrIn { size, .. } = fields.take()?;
    Ok(Operation::Getxattr { name: fields.xattr_name()?, size })
}

pub(super) fn listxattr<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let GetxattrIn { size, .. } = fields.take()?;
    Ok(Operation::Listxattr { size })
}
