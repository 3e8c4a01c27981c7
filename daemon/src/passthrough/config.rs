//! What an operator decides about a shared directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ids::IdRule;
use super::locks::Elsewhere;
use super::mapped::{Mapped, Neighbours};
use super::xattrmap::XattrMap;

/// What the guest may cache. The meanings are virtiofsd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// Names and attributes for a second; file contents until a file is opened again or is seen to have changed.
    #[default]
    Auto,
    /// All of it for a day: for directories that nobody else changes.
    Always,
    /// Nothing: every access asks the host.
    Never,
    /// Names, attributes and listings for a day, file contents never.
    Metadata,
}

impl CachePolicy {
    /// How long the guest trusts names and attributes, unless told otherwise.
    #[must_use]
    pub const fn timeout(self) -> Duration {
        match self {
            Self::Never => Duration::ZERO,
            Self::Auto => Duration::from_secs(1),
            Self::Always | Self::Metadata => Duration::from_hours(24),
        }
    }
}

/// How inodes that the guest knows are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InodeFileHandles {
    /// By an open descriptor each.
    Never,
    /// By file handle where file system and privileges allow it, else by descriptor.
    #[default]
    Prefer,
    /// By file handle; what has none cannot be looked up.
    Mandatory,
}

/// Whether to use a feature that needs the guest's help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Negotiation {
    /// Not offered.
    #[default]
    Never,
    /// Used where the guest has it.
    Auto,
    /// A guest without it is refused.
    Always,
}

/// How a [`super::Passthrough`] serves its directory.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory. Nothing outside it is ever reachable.
    pub shared_dir: PathBuf,
    /// What the guest may cache.
    pub cache: CachePolicy,
    /// How long the guest may trust names; none: what `cache` means.
    pub entry_timeout: Option<Duration>,
    /// How long the guest may trust attributes; none: what `cache` means.
    pub attr_timeout: Option<Duration>,
    /// The guest's page cache may hold back writes. Only for directories that nobody else changes.
    pub writeback: bool,
    /// The guest's `O_DIRECT` counts on the host too.
    pub allow_direct_io: bool,
    /// `mmap(MAP_SHARED)` of files whose contents are not cached ([`CachePolicy::Never`], [`CachePolicy::Metadata`]).
    pub allow_mmap: bool,
    /// Extended attributes.
    pub xattr: bool,
    /// Other names for extended attributes on the host.
    pub xattrmap: XattrMap,
    /// POSIX ACLs; needs `xattr`.
    pub posix_acl: Negotiation,
    /// Labels that come with new files; needs `xattr`.
    pub security_label: Negotiation,
    /// Tell the guest which directories are mount points, so that equal inode numbers of two file systems stay apart.
    pub announce_submounts: bool,
    /// How inodes are remembered.
    pub inode_file_handles: InodeFileHandles,
    /// The host clears suid, sgid and capabilities; none: where the guest can leave it to the host.
    pub killpriv_v2: Option<bool>,
    /// Listings bring attributes along.
    pub readdirplus: bool,
    /// The guest's `O_NOATIME` counts on the host, which needs to own the files or `CAP_FOWNER`.
    pub preserve_noatime: bool,
    /// Record locks (`fcntl(2)`) count among all guests and on the host; else only inside the guest.
    pub posix_locks: bool,
    /// The same of `flock(2)`.
    pub flock: bool,
    /// Other numbers for users; not with ACLs, which hold numbers of their own.
    pub translate_uid: Vec<IdRule>,
    /// Other numbers for groups; not with ACLs.
    pub translate_gid: Vec<IdRule>,
    /// Every change is refused with `EROFS`.
    pub readonly: bool,
    /// Most descriptors that may be open on behalf of the guest; none: what `RLIMIT_NOFILE` leaves when the
    /// daemon's own needs are taken off.
    pub max_descriptors: Option<usize>,
    /// Who maps pages of files for the guest; none: nobody does.
    pub mapped: Option<Arc<dyn Mapped>>,
    /// Others who map files of the directory; none: nobody is known.
    pub neighbours: Option<Arc<dyn Neighbours>>,
    /// Others whose guests lock files of the directory; none: circles of waiters are only found within this guest.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
}

impl Default for Config {
    /// virtiofsd's defaults, but for `killpriv_v2` and locks, which are used where the guest has them.
    fn default() -> Self {
        Self {
            shared_dir: PathBuf::from("/"),
            cache: CachePolicy::default(),
            entry_timeout: None,
            attr_timeout: None,
            writeback: false,
            allow_direct_io: false,
            allow_mmap: false,
            xattr: false,
            xattrmap: XattrMap::default(),
            posix_acl: Negotiation::Never,
            security_label: Negotiation::Never,
            announce_submounts: false,
            inode_file_handles: InodeFileHandles::default(),
            killpriv_v2: None,
            readdirplus: true,
            preserve_noatime: false,
            posix_locks: true,
            flock: true,
            translate_uid: Vec::new(),
            translate_gid: Vec::new(),
            readonly: false,
            max_descriptors: None,
            mapped: None,
            neighbours: None,
            elsewhere: None,
        }
    }
}

impl Config {
    /// How long the guest may trust names.
    #[must_use]
    pub fn entry_ttl(&self) -> Duration {
        self.entry_timeout.unwrap_or(self.cache.timeout())
    }

    /// How long the guest may trust attributes.
    #[must_use]
    pub fn attr_ttl(&self) -> Duration {
        self.attr_timeout.unwrap_or(self.cache.timeout())
    }

    /// File contents bypass the guest's page cache.
    pub(super) fn direct_io(&self) -> bool {
        matches!(self.cache, CachePolicy::Never | CachePolicy::Metadata)
    }
}
