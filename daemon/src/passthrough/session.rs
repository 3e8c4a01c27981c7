//! What INIT agreed on.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use fuse::abi::InitFlags;
use fuse::errno;

use super::Passthrough;
use super::config::{CachePolicy, Negotiation};
use crate::sys;

/// Used wherever the guest has them.
const ALWAYS: InitFlags = InitFlags::ASYNC_READ
    .union(InitFlags::ATOMIC_O_TRUNC)
    .union(InitFlags::BIG_WRITES)
    // The host's kernel knows better: a default ACL takes the umask's place.
    .union(InitFlags::DONT_MASK)
    .union(InitFlags::HAS_IOCTL_DIR)
    .union(InitFlags::AUTO_INVAL_DATA)
    .union(InitFlags::ASYNC_DIO)
    .union(InitFlags::PARALLEL_DIROPS)
    .union(InitFlags::MAX_PAGES)
    .union(InitFlags::SETXATTR_EXT)
    .union(InitFlags::INIT_EXT)
    .union(InitFlags::CREATE_SUPP_GROUP)
    .union(InitFlags::ALLOW_IDMAP);

/// What INIT agreed on, for the requests after it.
#[derive(Debug, Default)]
pub(super) struct Session(AtomicU64);

impl Session {
    pub(super) fn has(&self, flag: InitFlags) -> bool {
        self.flags().contains(flag)
    }

    /// All that was agreed on.
    pub(super) fn flags(&self) -> InitFlags {
        // Relaxed: a guest sends nothing that depends on INIT before it has INIT's reply.
        InitFlags::from_bits_retain(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, flags: InitFlags) {
        // Relaxed: as above.
        self.0.store(flags.bits(), Ordering::Relaxed);
    }
}

impl Passthrough {
    pub(super) fn do_init(&self, offered: InitFlags) -> io::Result<InitFlags> {
        self.do_destroy();
        let agreed = self.agreement(offered)?;
        self.session.set(agreed);
        Ok(agreed)
    }

    /// What is agreed on with a guest that offers this.
    ///
    /// # Errors
    /// `EPROTO` where it offers too little.
    pub(super) fn agreement(&self, offered: InitFlags) -> io::Result<InitFlags> {
        let config = &self.config;
        let mut wanted = ALWAYS;
        wanted.set(InitFlags::DO_READDIRPLUS | InitFlags::READDIRPLUS_AUTO, config.readdirplus);
        wanted.set(InitFlags::WRITEBACK_CACHE, config.writeback);
        wanted.set(InitFlags::DIRECT_IO_ALLOW_MMAP, config.allow_mmap);
        wanted.set(InitFlags::POSIX_LOCKS, config.posix_locks);
        wanted.set(InitFlags::FLOCK_LOCKS, config.flock);
        wanted.set(InitFlags::HAS_INODE_DAX, config.mapped.is_some());
        wanted.set(InitFlags::CACHE_SYMLINKS, config.cache != CachePolicy::Never);
        wanted.set(InitFlags::HANDLE_KILLPRIV_V2, config.killpriv_v2.is_none());
        wanted |= negotiate(
            offered,
            InitFlags::SUBMOUNTS,
            auto(config.announce_submounts),
            "--announce-submounts",
        )?;
        wanted |= negotiate(
            offered,
            InitFlags::HANDLE_KILLPRIV_V2,
            auto(config.killpriv_v2 == Some(true)),
            "--killpriv-v2",
        )?;
        wanted |= negotiate(
            offered,
            InitFlags::POSIX_ACL | InitFlags::DONT_MASK | InitFlags::SETXATTR_EXT,
            config.posix_acl,
            "--posix-acl",
        )?;
        wanted |=
            negotiate(offered, InitFlags::SECURITY_CTX, config.security_label, "--security-label")?;
        Ok(wanted & offered)
    }

    pub(super) fn do_destroy(&self) {
        self.locks.clear();
        if let Some(mapped) = &self.config.mapped {
            mapped.clear();
        }
        self.handles.clear();
        self.inodes.clear();
        self.descriptors.shed();
        self.session.set(InitFlags::empty());
        // A guest that knew a million inodes leaves much behind, and the next one may never need it.
        sys::release_memory();
    }
}

/// How an option is negotiated that can only be asked for.
fn auto(wanted: bool) -> Negotiation {
    if wanted { Negotiation::Auto } else { Negotiation::Never }
}

/// `flags`, if they are to be used with this guest: all of them or none.
fn negotiate(
    offered: InitFlags,
    flags: InitFlags,
    mode: Negotiation,
    option: &str,
) -> io::Result<InitFlags> {
    match mode {
        Negotiation::Never => Ok(InitFlags::empty()),
        _ if offered.contains(flags) => Ok(flags),
        Negotiation::Auto => {
            tracing::warn!("{option}: the guest's kernel does not support it; going on without");
            Ok(InitFlags::empty())
        }
        Negotiation::Always => {
            tracing::error!(
                "{option}=always: the guest's kernel does not support it; mount refused"
            );
            Err(errno::error(errno::EPROTO))
        }
    }
}
