//! A state as bytes.
//!
//! All numbers are little-endian. A header (`"samepage"`, version, length of all records) is followed by records: a name of
//! four letters, the length of the rest, and that. A name that begins with a small letter may be passed over by who does not
//! know it; all others must be known. The records' order is of no importance, but for mounts among themselves.

use super::state::{
    SavedFile, SavedHandle, SavedInode, SavedKind, SavedSession, State, Whereabouts,
};

/// What a state begins with.
pub(super) const MAGIC: [u8; 8] = *b"samepage";
/// Which format it is: a daemon that does not know it cannot tell where records begin.
pub(super) const VERSION: u32 = 1;

/// Records' names.
pub(super) const SESSION: [u8; 4] = *b"SESS";
pub(super) const ROOT: [u8; 4] = *b"ROOT";
pub(super) const MOUNT: [u8; 4] = *b"MNT ";
pub(super) const INODE: [u8; 4] = *b"INOD";
pub(super) const FILE: [u8; 4] = *b"FILE";

/// How an inode is found.
pub(super) const BY_PATH: u8 = 0;
pub(super) const BY_HANDLE: u8 = 1;
pub(super) const NOWHERE: u8 = 2;

impl State {
    /// As bytes that [`Self::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some(session) = &self.session {
            record(&mut records, SESSION, |out| session.put(out));
        }
        if let Some(root) = &self.root {
            record(&mut records, ROOT, |out| root.put(out));
        }
        for mount in &self.mounts {
            record(&mut records, MOUNT, |out| out.extend(mount));
        }
        for inode in &self.inodes {
            record(&mut records, INODE, |out| inode.put(out));
        }
        for file in &self.files {
            record(&mut records, FILE, |out| file.put(out));
        }
        let length = records.len() as u64;
        let mut state = [&MAGIC[..], &VERSION.to_le_bytes(), &length.to_le_bytes()].concat();
        state.append(&mut records);
        state
    }
}

fn record(out: &mut Vec<u8>, name: [u8; 4], put: impl FnOnce(&mut Vec<u8>)) {
    out.extend(name);
    let at = out.len();
    out.extend([0; 4]);
    put(out);
    // A record is a path and a few numbers.
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

impl SavedSession {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.minor.to_le_bytes());
        out.extend(self.agreed.bits().to_le_bytes());
        out.extend(self.next_node.to_le_bytes());
        out.extend(self.next_handle.to_le_bytes());
    }
}

impl SavedInode {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.node.to_le_bytes());
        out.extend(self.lookups.to_le_bytes());
        out.push(match self.kind {
            SavedKind::Regular => 0,
            SavedKind::Directory => 1,
            SavedKind::Other => 2,
        });
        match &self.place {
            Whereabouts::Path { path, handle } => {
                out.push(BY_PATH);
                out.extend((path.len() as u16).to_le_bytes());
                out.extend(path);
                if let Some(handle) = handle {
                    handle.put(out);
                }
            }
            Whereabouts::Handle { mount, handle } => {
                out.push(BY_HANDLE);
                out.extend(mount.to_le_bytes());
                handle.put(out);
            }
            Whereabouts::Nowhere(reason) => {
                out.push(NOWHERE);
                out.extend(reason.as_bytes());
            }
        }
    }
}

impl SavedHandle {
    /// The rest of the record are its bytes.
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.kind.to_le_bytes());
        out.extend(&self.bytes);
    }
}

impl SavedFile {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.handle.to_le_bytes());
        out.extend(self.node.to_le_bytes());
        out.extend(self.flags.to_le_bytes());
    }
}
