//! Extended attributes.
//!
//! An `O_PATH` descriptor has none of the `f…xattr` calls, and opening the file is out of the question for devices and
//! FIFOs. But its name in `/proc/self/fd`, which is a serving thread's working directory, leads to the inode itself,
//! whatever that is: even of a symlink it is the symlink, not its target.

use std::borrow::Cow;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use fuse::abi::InitFlags;
use fuse::filesystem::{XattrReply, Xattrs};
use fuse::{Context, NodeId, errno};
use rustix::buffer::spare_capacity;
use rustix::fs::XattrFlags;
use rustix::path::DecInt;

use super::attr::chmod;
use super::stat::stat;
use super::{Passthrough, prepare_thread};

const ACL_ACCESS: &CStr = c"system.posix_acl_access";
const ACL_DEFAULT: &CStr = c"system.posix_acl_default";
const CAPABILITY: &CStr = c"security.capability";

/// The kernel's limit for values and for lists of names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const MAX_SIZE: usize = 65_536;

impl Xattrs for Passthrough {
    fn setxattr(
        &self,
        _: &Context,
        node: NodeId,
        name: &CStr,
        value: &[u8],
        flags: u32,
        kill_sgid: bool,
    ) -> io::Result<()> {
        self.writable()?;
        let name = self.host_name(name)?;
        let fd = self.path_fd(node)?;
        set(fd.as_fd(), &name, value, flags)?;
        if kill_sgid && *name == *ACL_ACCESS {
            let permissions = stat(&fd)?.permissions();
            if permissions & libc::S_ISGID != 0 {
                chmod(fd.as_fd(), permissions & !libc::S_ISGID)?;
            }
        }
        Ok(())
    }

    fn getxattr(
        &self,
        _: &Context,
        node: NodeId,
        name: &CStr,
        size: u32,
    ) -> io::Result<XattrReply> {
        // As if the attribute were not there: who only looks need not know that it may not be touched.
        let name = self.host_name(name).map_err(|error| match error.raw_os_error() {
            Some(errno::EPERM) => errno::error(errno::ENODATA),
            _ => error,
        })?;
        let fd = self.path_fd(node)?;
        let link = link(fd.as_fd())?;
        let mut value = Vec::with_capacity(MAX_SIZE.min(size as usize));
        if size == 0 {
            // Not through the buffer: an allocation may be larger than asked for.
            return Ok(XattrReply::Size(
                rustix::fs::getxattr_query(link.as_c_str(), &*name)? as u32
            ));
        }
        rustix::fs::getxattr(link.as_c_str(), &*name, spare_capacity(&mut value))?;
        fit(value, size)
    }

    fn listxattr(&self, _: &Context, node: NodeId, size: u32) -> io::Result<XattrReply> {
        self.check_enabled()?;
        let fd = self.path_fd(node)?;
        let link = link(fd.as_fd())?;
        // All of them, whatever the guest has room for: it does not get to see every one.
        let mut names = Vec::new();
        while names.is_empty() {
            let length = rustix::fs::listxattr_query(link.as_c_str())?;
            if length == 0 {
                break;
            }
            names.reserve(length);
            match rustix::fs::listxattr(link.as_c_str(), spare_capacity(&mut names)) {
                // One was added meanwhile.
                Err(rustix::io::Errno::RANGE) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        if self.session.has(InitFlags::POSIX_ACL) {
            return fit(self.config.xattrmap.list_to_guest(names), size);
        }
        fit(without_acls(&self.config.xattrmap.list_to_guest(without_acls(&names))), size)
    }

    fn removexattr(&self, _: &Context, node: NodeId, name: &CStr) -> io::Result<()> {
        self.writable()?;
        let name = self.host_name(name)?;
        let fd = self.path_fd(node)?;
        Ok(rustix::fs::removexattr(link(fd.as_fd())?.as_c_str(), &*name)?)
    }
}

impl Passthrough {
    /// Before a file changes: a program's capabilities end with that. The host's kernel sees to it, but for those that
    /// `--xattrmap` gives another name; a guest that leaves it to the host does not ask.
    pub(super) fn drop_capability(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let Some(name) = &self.foreign_capability else { return Ok(()) };
        if !self.session.has(InitFlags::HANDLE_KILLPRIV_V2) {
            return Ok(());
        }
        match rustix::fs::removexattr(link(fd)?.as_c_str(), &**name) {
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(()),
            result => Ok(result?),
        }
    }

    /// `ENOSYS` keeps the guest from asking again.
    fn check_enabled(&self) -> io::Result<()> {
        if self.config.xattr { Ok(()) } else { Err(errno::error(errno::ENOSYS)) }
    }

    /// What the host calls the guest's `name`. ACLs that the guest's kernel does not check must not be set behind its
    /// back.
    fn host_name<'a>(&self, name: &'a CStr) -> io::Result<Cow<'a, CStr>> {
        self.check_enabled()?;
        let checked = |name: &CStr| {
            let unchecked = is_acl(name.to_bytes()) && !self.session.has(InitFlags::POSIX_ACL);
            if unchecked { Err(errno::error(errno::EOPNOTSUPP)) } else { Ok(()) }
        };
        checked(name)?;
        let host = self.config.xattrmap.to_host(name)?;
        checked(&host)?;
        Ok(host)
    }
}

/// Sets an extended attribute of what is open as `fd`, even by `O_PATH`.
///
/// # Errors
/// What `setxattr(2)` answers.
pub(super) fn set(fd: BorrowedFd<'_>, name: &CStr, value: &[u8], flags: u32) -> io::Result<()> {
    let flags = XattrFlags::from_bits_retain(flags);
    Ok(rustix::fs::setxattr(link(fd)?.as_c_str(), name, value, flags)?)
}

/// `fd`'s name in the working directory, which [`prepare_thread`] sets.
/// Reads an attribute of whatever `fd` is, by its name on the host; returns how long it is.
///
/// # Errors
/// `ENODATA`: it has none. `ERANGE`: it is longer than `value`.
pub(super) fn read(fd: BorrowedFd<'_>, name: &CStr, value: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::fs::getxattr(link(fd)?.as_c_str(), name, value)?)
}

fn link(fd: BorrowedFd<'_>) -> io::Result<DecInt> {
    prepare_thread()?;
    Ok(DecInt::from_fd(fd))
}

/// Whether an attribute has a say in who may do what: ACLs, and the capabilities that a program gets.
///
/// By the end of the name: for another guest, whose names are mapped, it may have these with something before them.
pub(crate) fn is_permission_xattr(name: &CStr) -> bool {
    [ACL_ACCESS, ACL_DEFAULT, CAPABILITY]
        .iter()
        .any(|end| name.to_bytes().ends_with(end.to_bytes()))
}

fn is_acl(name: &[u8]) -> bool {
    name == ACL_ACCESS.to_bytes() || name == ACL_DEFAULT.to_bytes()
}

fn without_acls(names: &[u8]) -> Vec<u8> {
    names
        .split_inclusive(|byte| *byte == 0)
        .filter(|name| !is_acl(name.strip_suffix(&[0]).unwrap_or(name)))
        .flatten()
        .copied()
        .collect()
}

/// `value` as a guest gets it that has room for `size` bytes.
fn fit(value: Vec<u8>, size: u32) -> io::Result<XattrReply> {
    match (size, value.len()) {
        (0, length) => Ok(XattrReply::Size(length as u32)),
        (size, length) if length > size as usize => Err(errno::error(errno::ERANGE)),
        _ => Ok(XattrReply::Value(value)),
    }
}

#[cfg(test)]
#[path = "xattr_tests.rs"]
mod tests;
