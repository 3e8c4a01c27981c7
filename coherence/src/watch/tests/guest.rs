//! What a guest would have cached, and whether it still may use it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use shm_layout::Snapshot;

use super::*;

/// Everything that is checked of an inode. Not atime and blocks, which nobody promises.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    perm: (u32, u32, u32),
    attr: (u64, u64, [i64; 4], Vec<String>),
    data: Vec<u8>,
}

impl State {
    fn of(file: &File) -> Self {
        let m = file.metadata().unwrap();
        let path = crate::sys::fd_path(file.as_fd());
        let mut listing: Vec<String> = Vec::new();
        let mut data = Vec::new();
        if m.is_dir() {
            let names = std::fs::read_dir(&path).into_iter().flatten().flatten();
            listing.extend(names.map(|e| format!("{:?}", e.file_name())));
            listing.sort();
        } else if m.is_file() {
            data = vec![0; m.len() as usize];
            File::open(&path).unwrap().read_exact_at(&mut data, 0).unwrap();
        }
        let times = [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()];
        Self {
            perm: (m.mode(), m.uid(), m.gid()),
            attr: (m.len(), m.nlink(), times, listing),
            data,
        }
    }
}

/// A guest: copies, each with the stamp that vouches for it.
pub(super) struct Guest<'a> {
    f: &'a Fixture,
    system: &'a FileSystem,
    names: BTreeMap<(InodeKey, String), (File, Option<InodeKey>, Snapshot)>,
    inodes: BTreeMap<InodeKey, (File, State, [Snapshot; 3])>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checked {
    pub(super) hits: u64,
    pub(super) misses: u64,
}

impl<'a> Guest<'a> {
    pub(super) fn new(f: &'a Fixture, system: &'a FileSystem) -> Self {
        Self { f, system, names: BTreeMap::new(), inodes: BTreeMap::new() }
    }

    /// Looks a name up and caches all that it is told.
    pub(super) fn look_up(&mut self, dir: &File, name: &str) {
        let Ok(parent) = self.key(dir) else { return };
        self.cache_inode(parent, dir);
        let cover = self.system.cover(parent, || dir.try_clone());
        let slot = self.f.engine.entry_slot(parent, name.as_bytes()).unwrap();
        let (found, [stamp]) = self.f.engine.observe([slot]).then(|| child(dir, name));
        let stamp = stamped(cover.as_ref(), stamp);
        let key = found.as_ref().and_then(|file| self.key(file).ok());
        if let (Some(file), Some(key)) = (&found, key) {
            self.cache_inode(key, file);
        }
        self.names.insert((parent, name.to_owned()), (dir.try_clone().unwrap(), key, stamp));
    }

    fn key(&self, file: &File) -> std::io::Result<InodeKey> {
        Ok(self.f.engine.inode(&FileId::of(file.as_fd())?.identity()))
    }

    fn cache_inode(&mut self, key: InodeKey, file: &File) {
        let cover = self.system.cover(key, || file.try_clone());
        let slots = self.f.engine.inode_slots(key).unwrap();
        let observed = self.f.engine.observe([slots.perm, slots.attr, slots.data]);
        let (state, stamps) = observed.then(|| State::of(file));
        let stamps = stamps.map(|s| stamped(cover.as_ref(), s));
        self.inodes.insert(key, (file.try_clone().unwrap(), state, stamps));
    }

    /// Compares everything that the guest may still use with the host. What it may not use it forgets.
    pub(super) fn check(&mut self, what: &str) -> Checked {
        let mut checked = Checked::default();
        let view = &self.f.view;
        let mut count = |current: bool| {
            checked.hits += u64::from(current);
            checked.misses += u64::from(!current);
            current
        };
        let engine = &self.f.engine;
        self.names.retain(|(_, name), (dir, key, stamp)| {
            let valid = count(view.is_current(*stamp));
            if valid {
                let id = child(dir, name).map(|file| FileId::of(file.as_fd()).unwrap());
                let now = id.map(|id| engine.inode(&id.identity()));
                assert_eq!(*key, now, "{what}: the name {name}");
            }
            valid
        });
        self.inodes.retain(|_, (file, state, stamps)| {
            let now = State::of(file);
            let [perm, attr, data] = stamps.map(|s| count(view.is_current(s)));
            assert!(!perm || now.perm == state.perm, "{what}: perm of {state:?}, now {now:?}");
            assert!(!attr || now.attr == state.attr, "{what}: attr of {state:?}, now {now:?}");
            assert!(!data || now.data == state.data, "{what}: data of {state:?}, now {now:?}");
            perm || attr || data
        });
        checked
    }
}

/// What the host answers.
fn child(dir: &File, name: &str) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).ok().map(File::from)
}
