//! Whether a guest has mounted, and what its INIT agreed on.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::abi::InitFlags;

/// What INIT agreed on, as far as reading requests and writing replies depends on it: small enough to be read with one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire(u32);

impl Wire {
    const MINOR: u32 = 0xFFFF;
    const SETXATTR_EXT: u32 = 1 << 16;
    const SECURITY_CTX: u32 = 1 << 17;
    const SUPPLEMENTARY_GROUP: u32 = 1 << 18;
    const STAMPS: u32 = 1 << 19;

    /// `minor` is at least [`crate::abi::MIN_MINOR`], so that no `Wire` is 0.
    pub(crate) fn new(minor: u32, granted: InitFlags) -> Self {
        let bit = |flag, bit| if granted.contains(flag) { bit } else { 0 };
        Self(
            (minor & Self::MINOR)
                | bit(InitFlags::SETXATTR_EXT, Self::SETXATTR_EXT)
                | bit(InitFlags::SECURITY_CTX, Self::SECURITY_CTX)
                | bit(InitFlags::CREATE_SUPP_GROUP, Self::SUPPLEMENTARY_GROUP)
                | bit(InitFlags::VERSION_TABLE, Self::STAMPS),
        )
    }

    /// The flags that it remembers.
    pub(super) fn granted(self) -> InitFlags {
        let flag = |has, flag| if has { flag } else { InitFlags::empty() };
        flag(self.setxattr_ext(), InitFlags::SETXATTR_EXT)
            | flag(self.security_ctx(), InitFlags::SECURITY_CTX)
            | flag(self.supplementary_group(), InitFlags::CREATE_SUPP_GROUP)
            | flag(self.stamps(), InitFlags::VERSION_TABLE)
    }

    /// The lower of the guest's and our minor version.
    pub(crate) fn minor(self) -> u32 {
        self.0 & Self::MINOR
    }

    /// SETXATTR has the longer header.
    pub(crate) fn setxattr_ext(self) -> bool {
        self.0 & Self::SETXATTR_EXT != 0
    }

    /// Creations carry security contexts.
    pub(crate) fn security_ctx(self) -> bool {
        self.0 & Self::SECURITY_CTX != 0
    }

    /// Replies carry stamps.
    pub(crate) fn stamps(self) -> bool {
        self.0 & Self::STAMPS != 0
    }

    /// Creations carry a group.
    pub(crate) fn supplementary_group(self) -> bool {
        self.0 & Self::SUPPLEMENTARY_GROUP != 0
    }
}

/// One guest's mount, from INIT to DESTROY.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// A [`Wire`], or 0 while no guest has mounted.
    wire: AtomicU32,
    /// Held while INIT and DESTROY run, so that each sees the other whole. No other request takes it.
    changing: Mutex<()>,
}

impl Session {
    /// What was agreed, where a guest has mounted.
    pub(super) fn wire(&self) -> Option<Wire> {
        // Acquire: pairs with the release in `open`, so that what the file system's `init` did is seen by requests.
        match self.wire.load(Ordering::Acquire) {
            0 => None,
            wire => Some(Wire(wire)),
        }
    }

    /// Ends the mount that stands, if any, with `destroy`; then begins one with what `init` agrees on.
    pub(super) fn open<E>(
        &self,
        destroy: impl FnOnce(),
        init: impl FnOnce() -> Result<Wire, E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.end(destroy);
        let wire = init()?;
        // Release: see `wire`.
        self.wire.store(wire.0, Ordering::Release);
        Ok(())
    }

    /// Ends the mount that stands, if any, with `destroy`.
    pub(super) fn close(&self, destroy: impl FnOnce()) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.end(destroy);
    }

    fn end(&self, destroy: impl FnOnce()) {
        // Relaxed: the lock orders INIT and DESTROY among themselves. A request that still sees the old mount may
        // run beside `destroy`; the file system answers it like any request with a node that is gone.
        if self.wire.swap(0, Ordering::Relaxed) != 0 {
            destroy();
        }
    }
}
