//! Requests that make, move and remove names.

use crate::abi::{CreateIn, LinkIn, MkdirIn, MknodIn, OPEN_KILL_SUIDGID, Rename2In, RenameIn};
use crate::failure::{Failure, Outcome};
use crate::filesystem::{Create, Extensions, Make};
use crate::ids::NodeId;
use crate::server::Wire;

use super::fields::{Fields, node};
use super::{Operation, extensions};

/// `RENAME_NOREPLACE`, `RENAME_EXCHANGE` and `RENAME_WHITEOUT`.
const RENAME_FLAGS: u32 = 0b111;

/// Decodes the creating requests, which may have extensions behind the name.
pub(super) struct Creation {
    /// From `fuse_in_header`.
    pub(super) total_extlen: u16,
    pub(super) wire: Wire,
}

impl Creation {
    fn extensions<'a>(&self, fields: &mut Fields<'a>) -> Outcome<Extensions<'a>> {
        extensions::take(fields, self.total_extlen, self.wire)
    }

    pub(super) fn symlink<'a>(&self, fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
        let name = fields.name()?;
        let target = fields.target()?;
        let make = Make { extensions: self.extensions(fields)?, ..Make::default() };
        Ok(Operation::Symlink { name, target, make })
    }

    pub(super) fn mknod<'a>(&self, fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
        let MknodIn { mode, rdev, umask, .. } = fields.take()?;
        let name = fields.name()?;
        let make = Make { mode, rdev, umask, extensions: self.extensions(fields)? };
        Ok(Operation::Mknod(name, make))
    }

    pub(super) fn mkdir<'a>(&self, fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
        let MkdirIn { mode, umask } = fields.take()?;
        let name = fields.name()?;
        let make = Make { mode, rdev: 0, umask, extensions: self.extensions(fields)? };
        Ok(Operation::Mkdir(name, make))
    }

    pub(super) fn create<'a>(&self, fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
        let request = fields.take()?;
        let name = fields.name()?;
        Ok(Operation::Create(name, self.how(fields, &request)?))
    }

    /// TMPFILE. Linux sends "/" for a name, since there is none; it means nothing.
    pub(super) fn tmpfile<'a>(&self, fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
        let request = fields.take()?;
        fields.string()?;
        Ok(Operation::Tmpfile(self.how(fields, &request)?))
    }

    fn how<'a>(&self, fields: &mut Fields<'a>, request: &CreateIn) -> Outcome<Create<'a>> {
        Ok(Create {
            flags: request.flags,
            mode: request.mode,
            umask: request.umask,
            kill_suidgid: request.open_flags & OPEN_KILL_SUIDGID != 0,
            extensions: self.extensions(fields)?,
        })
    }
}

pub(super) fn rename<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: RenameIn = fields.take()?;
    renaming(fields, request.newdir, 0)
}

pub(super) fn rename2<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: Rename2In = fields.take()?;
    if request.flags & !RENAME_FLAGS != 0 {
        return Err(Failure::Malformed);
    }
    renaming(fields, request.newdir, request.flags)
}

fn renaming<'a>(fields: &mut Fields<'a>, newdir: u64, flags: u32) -> Outcome<Operation<'a>> {
    let new_parent = node(newdir)?;
    let name = fields.name()?;
    let new_name = fields.name()?;
    Ok(Operation::Rename { name, new_parent, new_name, flags })
}

pub(super) fn link<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let request: LinkIn = fields.take()?;
    let target: NodeId = node(request.oldnodeid)?;
    Ok(Operation::Link { target, name: fields.name()? })
}
