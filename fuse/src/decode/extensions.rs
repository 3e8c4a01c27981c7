//! What follows the name in creating requests.
//!
//! Linux lays one record after another, each a multiple of 8 bytes long: first, with `SECURITY_CTX`, a
//! `fuse_secctx_header` with its security contexts; then, with `CREATE_SUPP_GROUP`, a `fuse_ext_header` of type
//! `FUSE_EXT_GROUPS` (`get_create_ext` in `fs/fuse/dir.c`). Since 7.38 `total_extlen` says how long they are;
//! before, there could only be security contexts.

use crate::abi::{ExtHeader, Secctx, SuppGroup};
use crate::failure::{Failure, Outcome};
use crate::filesystem::Extensions;
use crate::server::Wire;

use super::fields::Fields;

/// Unit of `total_extlen`, and what records are aligned to (`FUSE_REC_ALIGN`).
const ALIGN: usize = 8;
/// The first minor version with `total_extlen`.
const EXTLEN_MINOR: u32 = 38;

/// Takes all that is left of `fields` as extensions.
pub(super) fn take<'a>(
    fields: &mut Fields<'a>,
    total_extlen: u16,
    wire: Wire,
) -> Outcome<Extensions<'a>> {
    let mut extensions = Extensions::default();
    let announced = usize::from(total_extlen) * ALIGN;
    if wire.minor() >= EXTLEN_MINOR && fields.remaining() != announced {
        return Err(Failure::Malformed);
    }
    let mut records = Fields::new(fields.take_rest());
    let mut seen_contexts = false;
    while records.remaining() > 0 {
        let header: ExtHeader = records.take()?;
        let len = (header.size as usize).checked_sub(size_of::<ExtHeader>());
        let mut record = Fields::new(records.bytes(len.ok_or(Failure::Malformed)?)?);
        match header.kind {
            0..=ExtHeader::MAX_NR_SECCTX if wire.security_ctx() && !seen_contexts => {
                seen_contexts = true;
                contexts(&mut record, header.kind, &mut extensions)?;
            }
            ExtHeader::GROUPS
                if wire.supplementary_group() && extensions.supplementary_gid.is_none() =>
            {
                extensions.supplementary_gid = Some(group(&mut record)?);
            }
            _ => return Err(Failure::Malformed),
        }
        record.end()?;
    }
    Ok(extensions)
}

/// The one group that the new file may belong to.
fn group(record: &mut Fields<'_>) -> Outcome<u32> {
    let groups: SuppGroup = record.take()?;
    if groups.nr_groups == 1 { Ok(groups.group) } else { Err(Failure::Malformed) }
}

/// `count` security contexts: each `fuse_secctx`, the xattr's name, the label, padding.
fn contexts<'a>(
    record: &mut Fields<'a>,
    count: u32,
    extensions: &mut Extensions<'a>,
) -> Outcome<()> {
    for _ in 0..count {
        let before = record.remaining();
        let context: Secctx = record.take()?;
        let name = record.xattr_name()?;
        let label = record.bytes(context.size as usize)?;
        let taken = before - record.remaining();
        record.bytes(taken.next_multiple_of(ALIGN) - taken)?;
        extensions.security.push((name, label));
    }
    Ok(())
}

#[cfg(test)]
#[path = "extensions_tests.rs"]
mod tests;
