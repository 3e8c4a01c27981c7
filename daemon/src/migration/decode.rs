//! A state from bytes. They come through a VMM from another machine: nothing in them is believed.

use std::collections::HashSet;

use fuse::NodeId;
use fuse::abi::InitFlags;
use thiserror::Error;

use super::encode::{
    BY_HANDLE, BY_PATH, FILE, INODE, MAGIC, MOUNT, NOWHERE, ROOT, SESSION, VERSION,
};
use super::state::{
    SavedFile, SavedHandle, SavedInode, SavedKind, SavedSession, State, Whereabouts,
};

/// The longest state that is read, in bytes: room for some millions of inodes.
pub const MAX_STATE: u64 = 1 << 30;

/// Most bytes of a path below the shared directory (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// Most bytes of a component (`NAME_MAX`).
const MAX_NAME: usize = 255;
/// Most bytes of a file handle (`MAX_HANDLE_SZ`).
const MAX_HANDLE: usize = 128;
/// Most bytes of a reason.
const MAX_REASON: usize = 256;
/// Most mounts.
const MAX_MOUNTS: usize = 1 << 16;

/// Why bytes are no state that this daemon can go on from.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// There is none.
    #[error("the other daemon has given no state; its log says why")]
    Nothing,
    /// It begins otherwise.
    #[error("this is not the state of a samepaged (virtiofsd's cannot be taken over)")]
    NotAState,
    /// A daemon of another kind of state.
    #[error(
        "the state has format {found}, and this daemon knows {VERSION}; use a newer samepaged here"
    )]
    Version {
        /// What it says.
        found: u32,
    },
    /// It does not end where it says.
    #[error("the state has {got} bytes of records and says that it has {said}")]
    Length {
        /// What it says.
        said: u64,
        /// What came.
        got: u64,
    },
    /// A record of a later version.
    #[error(
        "the state has records \"{0}\", which this daemon does not know; use a newer samepaged here"
    )]
    Unknown(String),
    /// A record that says nothing that can be.
    #[error("a record \"{record}\" of the state is malformed: {what}")]
    Malformed {
        /// Its name.
        record: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl State {
    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] for whatever [`Self::encode`] would never have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::Nothing);
        }
        let mut bytes = Reader(bytes);
        if bytes.array() != Some(MAGIC) {
            return Err(DecodeError::NotAState);
        }
        let version = bytes.u32().ok_or(DecodeError::NotAState)?;
        if version != VERSION {
            return Err(DecodeError::Version { found: version });
        }
        let (said, got) = (bytes.u64().ok_or(DecodeError::NotAState)?, bytes.0.len() as u64);
        if said != got {
            return Err(DecodeError::Length { said, got });
        }
        let mut state = Self::default();
        while !bytes.0.is_empty() {
            let name = bytes.array().ok_or_else(|| malformed(*b"end ", "its name is cut off"))?;
            let length = bytes.u32().and_then(|length| bytes.take(length as usize));
            let rest = length.ok_or_else(|| malformed(name, "it is longer than the state"))?;
            state.read(name, Reader(rest))?;
        }
        state.check()?;
        Ok(state)
    }

    fn read(&mut self, name: [u8; 4], mut from: Reader<'_>) -> Result<(), DecodeError> {
        let wrong = |what| malformed(name, what);
        let short = || wrong("it is too short");
        match name {
            SESSION if self.session.is_some() => return Err(wrong("there are two")),
            SESSION => self.session = Some(session(&mut from).ok_or_else(short)?),
            ROOT if self.root.is_some() => return Err(wrong("there are two")),
            ROOT => self.root = Some(handle(&mut from).map_err(wrong)?),
            MOUNT => self.mounts.push(path(from.rest(), true).map_err(wrong)?),
            INODE => self.inodes.push(inode(&mut from).map_err(wrong)?),
            FILE => self.files.push(file(&mut from).ok_or_else(short)?),
            // Not needed, says its name.
            _ if name[0].is_ascii_lowercase() => return Ok(()),
            _ => return Err(DecodeError::Unknown(text(name))),
        }
        if from.0.is_empty() { Ok(()) } else { Err(wrong("it is too long")) }
    }

    /// Whether the parts fit together.
    fn check(&self) -> Result<(), DecodeError> {
        let Some(session) = &self.session else {
            return match (self.inodes.is_empty(), self.files.is_empty()) {
                (true, true) => Ok(()),
                (false, _) => Err(malformed(INODE, "no guest has mounted")),
                _ => Err(malformed(FILE, "no guest has mounted")),
            };
        };
        if self.mounts.len() > MAX_MOUNTS {
            return Err(malformed(MOUNT, "there are too many"));
        }
        let mut nodes = HashSet::from([NodeId::ROOT.0]);
        for inode in &self.inodes {
            if !(NodeId::ROOT.0..session.next_node).contains(&inode.node) {
                return Err(malformed(INODE, "a number that was never given"));
            }
            if !nodes.insert(inode.node) {
                return Err(malformed(INODE, "two have the same number"));
            }
            if inode.lookups == 0 {
                return Err(malformed(INODE, "the guest has forgotten it"));
            }
            if let Whereabouts::Handle { mount, .. } = inode.place
                && mount as usize >= self.mounts.len()
            {
                return Err(malformed(INODE, "its mount is not there"));
            }
        }
        let mut handles = HashSet::new();
        for file in &self.files {
            if !(1..session.next_handle).contains(&file.handle) {
                return Err(malformed(FILE, "a number that was never given"));
            }
            if !handles.insert(file.handle) {
                return Err(malformed(FILE, "two have the same number"));
            }
            if !nodes.contains(&file.node) {
                return Err(malformed(FILE, "the guest does not know the inode"));
            }
        }
        Ok(())
    }
}

fn session(from: &mut Reader<'_>) -> Option<SavedSession> {
    Some(SavedSession {
        minor: from.u32()?,
        agreed: InitFlags::from_bits_retain(from.u64()?),
        next_node: from.u64()?,
        next_handle: from.u64()?,
    })
}

fn inode(from: &mut Reader<'_>) -> Result<SavedInode, &'static str> {
    let short = "it is too short";
    let (node, lookups) = (from.u64().ok_or(short)?, from.u64().ok_or(short)?);
    let kind = match from.u8().ok_or(short)? {
        0 => SavedKind::Regular,
        1 => SavedKind::Directory,
        2 => SavedKind::Other,
        _ => return Err("it is of no kind that there is"),
    };
    let place = match from.u8().ok_or(short)? {
        BY_PATH => {
            let length = from.u16().ok_or(short)?;
            let bytes = from.take(length.into()).ok_or(short)?;
            let handle = if from.0.is_empty() { None } else { Some(handle(from)?) };
            Whereabouts::Path { path: path(bytes, false)?, handle }
        }
        BY_HANDLE => {
            let mount = from.u32().ok_or(short)?;
            Whereabouts::Handle { mount, handle: handle(from)? }
        }
        NOWHERE => {
            let reason =
                String::from_utf8(from.rest().to_vec()).map_err(|_| "its reason is no text")?;
            // It goes into the log.
            if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
                return Err("its reason is no line of text");
            }
            Whereabouts::Nowhere(reason)
        }
        _ => return Err("it is found in no way that there is"),
    };
    Ok(SavedInode { node, lookups, kind, place })
}

/// The rest is a handle.
fn handle(from: &mut Reader<'_>) -> Result<SavedHandle, &'static str> {
    let kind = from.array().map(i32::from_le_bytes).ok_or("it is too short")?;
    let bytes = from.rest();
    if bytes.is_empty() || bytes.len() > MAX_HANDLE {
        return Err("its handle is none");
    }
    Ok(SavedHandle { kind, bytes: bytes.to_vec() })
}

fn file(from: &mut Reader<'_>) -> Option<SavedFile> {
    Some(SavedFile { handle: from.u64()?, node: from.u64()?, flags: from.u32()? })
}

/// A path below the shared directory, which stays below it whatever it says.
fn path(bytes: &[u8], may_be_empty: bool) -> Result<Vec<u8>, &'static str> {
    let is_name = |name: &[u8]| {
        let special = matches!(name, b"" | b"." | b"..") || name.contains(&0);
        !special && name.len() <= MAX_NAME
    };
    let root = bytes.is_empty() && may_be_empty;
    if bytes.len() >= MAX_PATH || !(root || bytes.split(|byte| *byte == b'/').all(is_name)) {
        return Err("its path is none below the shared directory");
    }
    Ok(bytes.to_vec())
}

fn malformed(record: [u8; 4], what: &'static str) -> DecodeError {
    DecodeError::Malformed { record: text(record), what }
}

/// A record's name for the log: whatever it is, one word.
fn text(name: [u8; 4]) -> String {
    name.escape_ascii().to_string().trim_end().to_owned()
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
