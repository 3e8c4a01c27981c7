//! Acting for a guest's user: guards that change the calling thread and change it back.

use std::io;

use fuse::{Context, errno};
use rustix::fs::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::thread::{self, Identity};

/// Whether the host checks permissions while a thread acts for a guest's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    /// No: the guest's kernel did. The host cannot: it knows one of the user's supplementary groups at most.
    Guest,
    /// Yes: the guest's kernel could not, for it did not know the file.
    Host,
}

/// While it lives, files that this thread creates belong to the guest's user. Dropped, it turns the thread back.
///
/// An unprivileged daemon can act for its own user only. Root in the guest is whoever runs the daemon.
#[derive(Debug)]
#[must_use]
pub(super) struct Credentials {
    identity: Identity,
    uid: bool,
    gid: bool,
    groups: bool,
    capabilities: bool,
}

impl Credentials {
    /// Makes this thread act for the user of `context`, who is also a member of `supplementary_gid`.
    ///
    /// # Errors
    /// `EPERM` where the daemon may not; `EINVAL` for ids that mean "none". The thread is unchanged then.
    pub(super) fn assume(
        context: &Context,
        supplementary_gid: Option<u32>,
        checks: Checks,
    ) -> io::Result<Self> {
        let identity = thread::identity()?;
        let mut guard =
            Self { identity, uid: false, gid: false, groups: false, capabilities: false };
        let change_uid = context.uid != 0 && context.uid != identity.uid;
        let change_gid = context.gid != 0 && context.gid != identity.gid;
        // Groups before users: they need capabilities that go away with the user id.
        if let Some(group) = supplementary_gid.filter(|_| identity.groups) {
            set_thread_groups(&[gid(group)?])?;
            guard.groups = true;
        }
        if change_gid {
            set_thread_res_gid(None, gid(context.gid)?, None).map_err(unmapped)?;
            guard.gid = true;
        }
        if change_uid {
            set_thread_res_uid(None, uid(context.uid)?, None).map_err(unmapped)?;
            guard.uid = true;
            let held = identity.capabilities;
            let effective = match checks {
                Checks::Guest => held.effective & CapabilitySet::DAC_OVERRIDE,
                Checks::Host => CapabilitySet::empty(),
            };
            set_capabilities(None, CapabilitySets { effective, ..held })?;
            // Root gets its capabilities back by becoming root again.
            guard.capabilities = identity.uid != 0 || held.effective != held.permitted;
        }
        Ok(guard)
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        // The real ids are still the daemon's own, so the first two need no capability.
        if self.uid {
            restored("user id", set_thread_res_uid(None, Uid::from_raw(self.identity.uid), None));
        }
        if self.gid {
            restored("group id", set_thread_res_gid(None, Gid::from_raw(self.identity.gid), None));
        }
        if self.capabilities {
            restored("capabilities", set_capabilities(None, self.identity.capabilities));
        }
        if self.groups {
            restored("groups", set_thread_groups(&[]));
        }
    }
}

/// While it lives, this thread has no `CAP_FSETID`: writing to a file clears its suid and sgid bits, as it does for a
/// guest's user who lacks the capability.
#[derive(Debug)]
#[must_use]
pub(super) struct WithoutFsetid(Option<CapabilitySets>);

impl WithoutFsetid {
    /// Drops the capability if `drop` says so and the thread has it.
    ///
    /// # Errors
    /// What `capset(2)` answers.
    pub(super) fn when(drop: bool) -> io::Result<Self> {
        if !drop {
            return Ok(Self(None));
        }
        let identity = thread::identity()?;
        if !identity.can(CapabilitySet::FSETID) {
            return Ok(Self(None));
        }
        let held = identity.capabilities;
        let effective = held.effective - CapabilitySet::FSETID;
        set_capabilities(None, CapabilitySets { effective, ..held })?;
        Ok(Self(Some(held)))
    }
}

impl Drop for WithoutFsetid {
    fn drop(&mut self) {
        if let Some(held) = self.0 {
            restored("capabilities", set_capabilities(None, held));
        }
    }
}

/// `u32::MAX` means "leave it" to the system calls and "nobody" to the guest.
pub(super) fn uid(raw: u32) -> io::Result<Uid> {
    if raw == u32::MAX { Err(errno::error(errno::EINVAL)) } else { Ok(Uid::from_raw(raw)) }
}

/// An id that the daemon's user namespace does not have: one that it may not act for.
fn unmapped(error: rustix::io::Errno) -> io::Error {
    if error == rustix::io::Errno::INVAL { errno::error(errno::EPERM) } else { error.into() }
}

/// As [`uid`].
pub(super) fn gid(raw: u32) -> io::Result<Gid> {
    if raw == u32::MAX { Err(errno::error(errno::EINVAL)) } else { Ok(Gid::from_raw(raw)) }
}

/// A thread that cannot become itself again would serve everybody as the last guest user.
fn restored(what: &str, result: rustix::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!("cannot restore this thread's {what}: {error}; aborting");
        std::process::abort();
    }
}
