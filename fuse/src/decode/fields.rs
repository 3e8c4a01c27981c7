//! Takes a request's body apart, front to back.

use std::ffi::CStr;

use zerocopy::FromBytes;

use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::ids::NodeId;

/// Longest name, in bytes without the NUL (`NAME_MAX`).
const NAME_MAX: usize = 255;
/// Longest symlink target, in bytes without the NUL (`PATH_MAX` counts it).
const TARGET_MAX: usize = 4095;
/// Longest name of an extended attribute, in bytes without the NUL (`XATTR_NAME_MAX`).
const XATTR_NAME_MAX: usize = 255;

/// What is left of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Bytes not taken yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next structure.
    pub(crate) fn take<T: FromBytes>(&mut self) -> Outcome<T> {
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| Failure::Malformed)?;
        self.rest = rest;
        Ok(value)
    }

    /// The next `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Outcome<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Failure::Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next string, up to its NUL.
    pub(crate) fn string(&mut self) -> Outcome<&'a CStr> {
        let string = CStr::from_bytes_until_nul(self.rest).map_err(|_| Failure::Malformed)?;
        self.bytes(string.count_bytes() + 1)?;
        Ok(string)
    }

    /// The next name: one component of a path, "." and ".." included.
    pub(crate) fn component(&mut self) -> Outcome<&'a CStr> {
        let name = self.string()?;
        let bytes = name.to_bytes();
        if bytes.is_empty() || bytes.contains(&b'/') {
            return Err(Failure::Malformed);
        }
        if bytes.len() > NAME_MAX {
            return Err(Failure::Errno(errno::ENAMETOOLONG));
        }
        Ok(name)
    }

    /// The next name that something can be created or removed under: no "." or "..".
    pub(crate) fn name(&mut self) -> Outcome<&'a CStr> {
        let name = self.component()?;
        match name.to_bytes() {
            b"." | b".." => Err(Failure::Malformed),
            _ => Ok(name),
        }
    }

    /// The next string as the target of a symlink.
    pub(crate) fn target(&mut self) -> Outcome<&'a CStr> {
        match self.string()? {
            target if target.is_empty() => Err(Failure::Malformed),
            target if target.count_bytes() > TARGET_MAX => Err(Failure::Errno(errno::ENAMETOOLONG)),
            target => Ok(target),
        }
    }

    /// The next string as the name of an extended attribute.
    pub(crate) fn xattr_name(&mut self) -> Outcome<&'a CStr> {
        match self.string()? {
            name if name.is_empty() => Err(Failure::Malformed),
            name if name.count_bytes() > XATTR_NAME_MAX => Err(Failure::Errno(errno::ERANGE)),
            name => Ok(name),
        }
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Outcome<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Failure::Malformed) }
    }
}

/// A node that an operation needs: 0 names none.
pub(crate) fn node(nodeid: u64) -> Outcome<NodeId> {
    if nodeid == 0 { Err(Failure::Malformed) } else { Ok(NodeId(nodeid)) }
}

/// Checks that `len` bytes at `offset` lie where a file can have bytes: `loff_t` is signed.
pub(crate) fn range(offset: u64, len: u64) -> Outcome<()> {
    match offset.checked_add(len) {
        Some(end) if i64::try_from(end).is_ok() => Ok(()),
        _ => Err(Failure::Malformed),
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
