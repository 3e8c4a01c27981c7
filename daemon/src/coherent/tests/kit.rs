//! Two daemons on one directory and one table.

use std::ffi::CString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use coherence::watch::{Mode, Watcher};
use coherence::{Engine, Options, SlotIndex};
use fuse::abi::{InitFlags, Stamp};
use fuse::filesystem::{Create, Entry, Extensions, Make, Offer, Open, Opened, SetAttr};
use fuse::{Context, FileSystem, Handle, NodeId};
use tempfile::TempDir;

use crate::coherent::Coherent;
use crate::passthrough::{CachePolicy, Config, Negotiation};

pub(super) const ROOT: Context = Context { uid: 0, gid: 0, pid: 1 };

/// A directory, and where its table is.
pub(super) struct House {
    dir: TempDir,
    tables: TempDir,
}

/// A daemon with its guest, who has mounted.
pub(super) struct Guest {
    pub(super) fs: Coherent,
    pub(super) engine: Arc<Engine>,
    watcher: Arc<Watcher>,
}

impl House {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tables = tempfile::tempdir_in("/dev/shm").unwrap();
        let house = Self { dir, tables };
        fs::create_dir(house.share()).unwrap();
        house
    }

    fn share(&self) -> PathBuf {
        self.dir.path().join("share")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.share().join(name)
    }

    pub(super) fn config(&self) -> Config {
        Config {
            shared_dir: self.share(),
            xattr: true,
            posix_acl: Negotiation::Auto,
            cache: CachePolicy::Auto,
            ..Config::default()
        }
    }

    /// A daemon whose guest has not sent INIT.
    pub(super) fn boot(&self, config: Config) -> Guest {
        // So many that hardly ever two names or inodes of a test share a slot: the key is another one each time.
        let options =
            Options { words: Some(1 << 20), ..Options::new(self.tables.path().join("table")) };
        let engine = Engine::attach(options).unwrap();
        // All daemons of a test are one process, whose own changes are told by nobody.
        let watcher = Arc::new(Watcher::start(&engine, Mode::Off, &[]).unwrap());
        let fs = Coherent::new(config, &engine, Arc::clone(&watcher), 2).unwrap();
        Guest { fs, engine, watcher }
    }

    pub(super) fn guest(&self) -> Guest {
        self.guest_of(self.config())
    }

    /// A daemon whose guest has mounted.
    pub(super) fn guest_of(&self, config: Config) -> Guest {
        let guest = self.boot(config);
        let agreed = guest.fs.init(&guest.offer()).unwrap();
        assert!(agreed.contains(InitFlags::VERSION_TABLE));
        guest
    }
}

impl Guest {
    pub(super) fn offer(&self) -> Offer {
        Offer { flags: InitFlags::all(), table_id: self.engine.table_id() }
    }

    /// Times that an inode was refused stamps.
    pub(super) fn refused_inodes(&self) -> u64 {
        self.watcher.figures().refused_inodes
    }

    pub(super) fn lookup(&self, parent: NodeId, name: &str) -> std::io::Result<Entry> {
        self.fs.lookup(&ROOT, parent, &cstring(name))
    }

    /// Looks up what is there.
    #[track_caller]
    pub(super) fn found(&self, parent: NodeId, name: &str) -> (NodeId, Stamp) {
        let entry = self.lookup(parent, name).unwrap();
        assert_ne!(entry.nodeid, 0, "{name} is there");
        (NodeId(entry.nodeid), entry.stamp)
    }

    pub(super) fn node(&self, name: &str) -> NodeId {
        self.found(NodeId::ROOT, name).0
    }

    pub(super) fn create(&self, name: &str, flags: i32) -> std::io::Result<(Entry, Opened)> {
        let create = Create {
            flags: (libc::O_RDWR | libc::O_CREAT | flags) as u32,
            mode: libc::S_IFREG | 0o644,
            umask: 0,
            kill_suidgid: false,
            extensions: Extensions::default(),
        };
        self.fs.create(&ROOT, NodeId::ROOT, &cstring(name), &create)
    }

    pub(super) fn mkdir(&self, name: &str) -> Entry {
        let make = Make { mode: 0o755, ..Make::default() };
        self.fs.mkdir(&ROOT, NodeId::ROOT, &cstring(name), &make).unwrap()
    }

    pub(super) fn open(&self, node: NodeId, flags: i32) -> Handle {
        let open = Open { flags: flags as u32, kill_suidgid: false };
        self.fs.open(&ROOT, node, &open).unwrap().handle.unwrap()
    }

    pub(super) fn set(&self, node: NodeId, set: &SetAttr) -> Stamp {
        self.fs.setattr(&ROOT, node, None, set).unwrap().stamp
    }

    pub(super) fn rename(&self, from: &str, to: &str, flags: u32) -> Stamp {
        let (from, to) = (cstring(from), cstring(to));
        self.fs.rename(&ROOT, (NodeId::ROOT, &from), (NodeId::ROOT, &to), flags).unwrap()
    }

    /// Whether a guest that holds this stamp may use what came with it.
    pub(super) fn is_current(&self, stamp: &Stamp, place: usize) -> bool {
        let Some(slot) = SlotIndex::new(stamp.slots[place]) else { return false };
        let ((), [now]) = self.engine.observe([slot]).then(|| ());
        now.covers() && now.word == stamp.words[place]
    }

    /// The places of a stamp that are current, as "epad".
    pub(super) fn current(&self, stamp: &Stamp) -> String {
        let places = ['e', 'p', 'a', 'd'].into_iter().enumerate();
        places
            .filter(|&(place, _)| self.is_current(stamp, place))
            .map(|(_, letter)| letter)
            .collect()
    }
}

pub(super) fn cstring(text: &str) -> CString {
    CString::new(text).unwrap()
}
