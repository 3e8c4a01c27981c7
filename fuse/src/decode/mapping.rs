//! The DAX window.

use smallvec::SmallVec;

use crate::abi::{RemovemappingIn, RemovemappingOne, SetupmappingFlags, SetupmappingIn};
use crate::failure::{Failure, Outcome};
use crate::filesystem::{RemoveMapping, SetupMapping};
use crate::ids::Handle;

use super::Operation;
use super::fields::{Fields, range};

/// The handle that Linux sends, which maps inodes and not open files.
const NO_HANDLE: u64 = u64::MAX;

pub(super) fn setup<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let SetupmappingIn { fh, foffset, len, flags, moffset } = fields.take()?;
    range(foffset, len)?;
    range(moffset, len)?;
    let flags = SetupmappingFlags::from_bits(flags).ok_or(Failure::Malformed)?;
    let setup = SetupMapping {
        file_offset: foffset,
        len,
        window_offset: moffset,
        writable: flags.contains(SetupmappingFlags::WRITE),
    };
    Ok(Operation::Setupmapping((fh != NO_HANDLE).then_some(Handle(fh)), setup))
}

pub(super) fn remove<'a>(fields: &mut Fields<'a>) -> Outcome<Operation<'a>> {
    let RemovemappingIn { count } = fields.take()?;
    if u64::from(count) * size_of::<RemovemappingOne>() as u64 != fields.remaining() as u64 {
        return Err(Failure::Malformed);
    }
    let mut stretches = SmallVec::new();
    for _ in 0..count {
        let RemovemappingOne { moffset, len } = fields.take()?;
        range(moffset, len)?;
        stretches.push(RemoveMapping { window_offset: moffset, len });
    }
    Ok(Operation::Removemapping(stretches))
}
