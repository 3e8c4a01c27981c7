//! CREATE and TMPFILE.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use fuse::abi::InitFlags;
use fuse::filesystem::{Create, Entry, Extensions, Open, Opened};
use fuse::{Context, NodeId, errno};
use rustix::fs::{AtFlags, OFlags};

use super::credentials::Checks;
use super::descriptors::Descriptor;
use super::handles::OpenFile;
use super::inode::Inode;
use super::lookup::Found;
use super::stat::{FileType, stat};
use super::{Passthrough, mounts, open_beneath, thread, xattr};

/// How often a name may appear and vanish under our hands before that is the guest's problem.
const ATTEMPTS: u32 = 16;

impl Passthrough {
    pub(super) fn do_create(
        &self,
        context: &Context,
        parent: NodeId,
        name: &CStr,
        create: &Create<'_>,
    ) -> io::Result<(Entry, Opened)> {
        let parent = self.inode(parent)?;
        let dir = self.descriptors.path_fd(&parent)?;
        let permit = self.descriptors.take()?;
        for _ in 0..ATTEMPTS {
            // Exclusively even if the guest did not ask for that: what exists needs more care.
            match self.create_new(context, dir.as_fd(), name, create) {
                Ok(file) => {
                    return self.created(&parent, Descriptor::new(file, permit), create);
                }
                Err(error) if error.raw_os_error() != Some(errno::EEXIST) => return Err(error),
                Err(error) if create.flags & OFlags::EXCL.bits() != 0 => return Err(error),
                Err(_) => {}
            }
            match self.open_existing(context, &parent, dir.as_fd(), name, create) {
                Err(error) if error.raw_os_error() == Some(errno::ENOENT) => {}
                result => return result,
            }
        }
        Err(errno::error(errno::ESTALE))
    }

    pub(super) fn do_tmpfile(
        &self,
        context: &Context,
        parent: NodeId,
        create: &Create<'_>,
    ) -> io::Result<(Entry, Opened)> {
        let parent = self.inode(parent)?;
        let dir = self.descriptors.path_fd(&parent)?;
        let exclusive = OFlags::from_bits_retain(create.flags) & OFlags::EXCL;
        let flags = (self.host_flags(create.flags) - OFlags::TRUNC) | exclusive | OFlags::TMPFILE;
        let permit = self.descriptors.take()?;
        let file = {
            let _credentials =
                self.assume(context, create.extensions.supplementary_gid, Checks::Guest)?;
            self.wear_umask(create.umask)?;
            open_beneath(&dir, c".", flags, create.mode)?
        };
        self.label(file.as_fd(), &create.extensions)?;
        let (entry, opened) = self.created(&parent, Descriptor::new(file, permit), create)?;
        // LINK may come after the file is closed.
        if let Some(inode) = self.inodes.get(NodeId(entry.nodeid))
            && let Ok(fd) = self.descriptors.path_fd(&inode)
        {
            self.descriptors.hold_unlinked(&inode, fd);
        }
        Ok((entry, opened))
    }

    fn create_new(
        &self,
        context: &Context,
        dir: BorrowedFd<'_>,
        name: &CStr,
        create: &Create<'_>,
    ) -> io::Result<OwnedFd> {
        let flags = self.host_flags(create.flags) | OFlags::CREATE | OFlags::EXCL;
        let file = {
            let _credentials =
                self.assume(context, create.extensions.supplementary_gid, Checks::Guest)?;
            self.wear_umask(create.umask)?;
            open_beneath(dir, name, flags, create.mode)?
        };
        if let Err(error) = self.label(file.as_fd(), &create.extensions) {
            // Better no file than one with the wrong label.
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
            return Err(error);
        }
        Ok(file)
    }

    fn created(
        &self,
        parent: &Inode,
        file: Descriptor,
        create: &Create<'_>,
    ) -> io::Result<(Entry, Opened)> {
        let entry = self.entry(parent, Found::File(file.as_fd()))?;
        let flags = self.host_flags(create.flags);
        let file = OpenFile::file(NodeId(entry.nodeid), file, flags);
        Ok((entry, self.opened(file, flags)))
    }

    /// The name turned up after the guest had seen that it is missing. Its kernel takes the file for new and checks no
    /// permissions, so the host does. Where it can't, `ESTALE` makes the guest's kernel start over with a fresh lookup,
    /// and then it checks everything itself.
    fn open_existing(
        &self,
        context: &Context,
        parent: &Arc<Inode>,
        dir: BorrowedFd<'_>,
        name: &CStr,
        create: &Create<'_>,
    ) -> io::Result<(Entry, Opened)> {
        let path = open_beneath(dir, name, OFlags::PATH, 0)?;
        match stat(&path)?.file_type() {
            FileType::Regular => {}
            FileType::Directory => return Err(errno::error(errno::EISDIR)),
            FileType::Other => return Err(errno::error(errno::ESTALE)),
        }
        {
            let _credentials =
                self.assume(context, create.extensions.supplementary_gid, Checks::Host)?;
            let question = question(self.host_flags(create.flags));
            mounts::reopen(&path, question).map_err(|error| match error.raw_os_error() {
                Some(errno::EACCES | errno::EPERM) => errno::error(errno::ESTALE),
                _ => error,
            })?;
        }
        let entry = self.entry(parent, Found::Path(path))?;
        let node = NodeId(entry.nodeid);
        let open = Open { flags: create.flags, kill_suidgid: create.kill_suidgid };
        let cuts = self.host_flags(create.flags).contains(OFlags::TRUNC);
        let unmapped = if cuts { self.unmap_for_cut(node) } else { Ok(()) };
        let opened = unmapped
            .and_then(|()| self.do_open(node, open))
            .inspect_err(|_| self.inodes.forget(node, 1))?;
        Ok((entry, opened))
    }

    /// What this thread creates next gets the umask that the guest did not apply itself. It is the host's kernel that
    /// applies it, for a default ACL takes its place.
    pub(super) fn wear_umask(&self, mask: u32) -> io::Result<()> {
        thread::set_umask(if self.session.has(InitFlags::DONT_MASK) { mask } else { 0 })
    }

    /// Puts the labels that came with a creation on what is open as `fd`.
    pub(super) fn label(&self, fd: BorrowedFd<'_>, extensions: &Extensions<'_>) -> io::Result<()> {
        if !self.session.has(InitFlags::SECURITY_CTX) {
            return Ok(());
        }
        extensions.security.iter().try_for_each(|(name, value)| {
            xattr::set(fd, &self.config.xattrmap.to_host(name)?, value, 0)
        })
    }
}

/// Flags that need the same permissions as `flags` and change nothing: a file that is to be cut stays whole until it is
/// known whether it may be.
fn question(flags: OFlags) -> OFlags {
    let mode = if flags.contains(OFlags::TRUNC) && flags & OFlags::RWMODE == OFlags::RDONLY {
        OFlags::RDWR
    } else {
        flags & OFlags::RWMODE
    };
    mode | (flags & OFlags::DIRECT)
}
