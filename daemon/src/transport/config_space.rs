//! The device's configuration space (virtio 1.3, 5.11.4): the tag and the number of request queues.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

const TAG_SIZE: usize = 36;
const SIZE: usize = TAG_SIZE + size_of::<u32>();

/// The name under which a guest mounts the directory: 1 to 36 bytes, no NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

/// Why a tag is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a tag has 1 to {TAG_SIZE} bytes and no NUL")]
pub struct TagError;

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(tag: &str) -> Result<Self, TagError> {
        if tag.is_empty() || tag.len() > TAG_SIZE || tag.contains('\0') {
            return Err(TagError);
        }
        Ok(Self(tag.to_owned()))
    }
}

/// `size` bytes of the configuration space from `offset` on; what lies behind its end reads as zero.
pub(super) fn read(tag: &Tag, request_queues: u32, offset: u32, size: u32) -> Vec<u8> {
    let mut space = [0; SIZE];
    space[..tag.0.len()].copy_from_slice(tag.0.as_bytes());
    space[TAG_SIZE..].copy_from_slice(&request_queues.to_le_bytes());
    let mut wanted: Vec<u8> =
        space.iter().copied().skip(offset as usize).take(size as usize).collect();
    wanted.resize(size as usize, 0);
    wanted
}

#[cfg(test)]
#[path = "config_space_tests.rs"]
mod tests;
