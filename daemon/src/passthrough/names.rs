//! Names: MKNOD, MKDIR, SYMLINK, READLINK, LINK, UNLINK, RMDIR and RENAME.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use fuse::filesystem::{Entry, Make};
use fuse::{Context, NodeId, errno};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::path::DecInt;

use super::credentials::Checks;
use super::inode::{Inode, PathFd};
use super::lookup::Found;
use super::stat::{self, decode_device, stat};
use super::tags::Meaning;
use super::{Passthrough, open_beneath, thread};

impl Passthrough {
    pub(super) fn do_mknod(
        &self,
        context: &Context,
        parent: NodeId,
        name: &CStr,
        make: &Make<'_>,
    ) -> io::Result<Entry> {
        let kind = match make.mode & libc::S_IFMT {
            // As mknod(2) has it.
            0 | libc::S_IFREG => FileType::RegularFile,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFCHR => FileType::CharacterDevice,
            libc::S_IFBLK => FileType::BlockDevice,
            _ => return Err(errno::error(errno::EINVAL)),
        };
        let mode = Mode::from_raw_mode(make.mode & 0o7777);
        let device = decode_device(make.rdev);
        self.make(context, parent, name, make, AtFlags::empty(), |dir| {
            Ok(rustix::fs::mknodat(dir, name, kind, mode, device)?)
        })
    }

    pub(super) fn do_mkdir(
        &self,
        context: &Context,
        parent: NodeId,
        name: &CStr,
        make: &Make<'_>,
    ) -> io::Result<Entry> {
        self.make(context, parent, name, make, AtFlags::REMOVEDIR, |dir| {
            Ok(rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(make.mode & 0o7777))?)
        })
    }

    pub(super) fn do_symlink(
        &self,
        context: &Context,
        parent: NodeId,
        name: &CStr,
        target: &CStr,
        make: &Make<'_>,
    ) -> io::Result<Entry> {
        self.make(context, parent, name, make, AtFlags::empty(), |dir| {
            Ok(rustix::fs::symlinkat(target, dir, name)?)
        })
    }

    /// Makes something as the guest's user with `call`, and looks it up. `undo` is how `unlinkat(2)` removes it.
    fn make(
        &self,
        context: &Context,
        parent: NodeId,
        name: &CStr,
        make: &Make<'_>,
        undo: AtFlags,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> io::Result<Entry> {
        let parent = self.inode(parent)?;
        let dir = self.descriptors.path_fd(&parent)?;
        let extensions = &make.extensions;
        {
            let group = extensions.supplementary_gid;
            let _credentials = self.assume(context, group, Checks::Guest)?;
            self.wear_umask(make.umask)?;
            call(dir.as_fd())?;
        }
        let made = self.open_made(&parent, dir.as_fd(), name, undo)?;
        if let Err(error) = self.label(made.as_fd(), extensions) {
            // Better nothing than something with the wrong label.
            let _ = rustix::fs::unlinkat(&dir, name, undo);
            return Err(error);
        }
        self.entry(&parent, made)
    }

    /// Opens what was just made. Of a directory the observer may want to know more than an `O_PATH` descriptor tells.
    fn open_made(
        &self,
        parent: &Inode,
        dir: BorrowedFd<'_>,
        name: &CStr,
        undo: AtFlags,
    ) -> io::Result<Found<'static>> {
        let observer = self.observer.as_deref();
        if undo == AtFlags::REMOVEDIR
            && observer.is_some_and(|observer| observer.reads_directories(parent.tag))
            && let Ok(fd) = open_beneath(dir, name, OFlags::RDONLY | OFlags::DIRECTORY, 0)
        {
            return Ok(Found::Readable(fd));
        }
        open_beneath(dir, name, OFlags::PATH, 0).map(Found::Path)
    }

    pub(super) fn do_readlink(&self, node: NodeId) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.path_fd(node)?, c"", Vec::new())?;
        Ok(target.into_bytes())
    }

    pub(super) fn do_link(
        &self,
        node: NodeId,
        new_parent: NodeId,
        new_name: &CStr,
    ) -> io::Result<Entry> {
        let inode = self.inode(node)?;
        let new_parent = self.inode(new_parent)?;
        let fd = self.path_fd(node)?;
        let dir = self.descriptors.path_fd(&new_parent)?;
        // By way of /proc: AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH. What follows the link there is never a symlink's
        // target: it is the inode itself.
        let (proc, link) = (thread::proc_self_fd()?, DecInt::from_fd(&fd));
        rustix::fs::linkat(proc, link.as_c_str(), &dir, new_name, AtFlags::SYMLINK_FOLLOW)?;
        // A file without a name has one now.
        inode.release_unlinked();
        self.entry(&new_parent, Found::File(fd.as_fd()))
    }

    /// UNLINK, or RMDIR by `AT_REMOVEDIR`. `meaning`: what the name was found to mean, by who has looked already.
    pub(super) fn do_unlink(
        &self,
        parent: NodeId,
        name: &CStr,
        flags: AtFlags,
        meaning: Option<&Meaning>,
    ) -> io::Result<()> {
        let parent = self.inode(parent)?;
        let dir = self.descriptors.path_fd(&parent)?;
        let victim = self.victim(&parent, dir.as_fd(), name, meaning);
        rustix::fs::unlinkat(&dir, name, flags)?;
        self.keep_nameless(victim);
        Ok(())
    }

    /// UNLINK or RMDIR of a name that was found to have this meaning. Should it have another by now, only what happens to
    /// that one's inode afterwards depends on it: it may answer `ESTALE` sooner.
    ///
    /// # Errors
    /// As for the requests.
    pub fn remove_meant(
        &self,
        parent: NodeId,
        name: &CStr,
        flags: AtFlags,
        meaning: &Meaning,
    ) -> io::Result<()> {
        self.writable()?;
        self.do_unlink(parent, name, flags, Some(meaning))
    }

    /// RENAME, where the new name was found to have this meaning: see [`Self::remove_meant`].
    ///
    /// # Errors
    /// As for the request.
    pub fn rename_meant(
        &self,
        from: (NodeId, &CStr),
        to: (NodeId, &CStr),
        flags: u32,
        replaced: &Meaning,
    ) -> io::Result<()> {
        self.writable()?;
        self.do_rename(from, to, flags, Some(replaced))
    }

    /// `replaced`: as the meaning for [`Self::do_unlink`], of the new name.
    pub(super) fn do_rename(
        &self,
        (old_parent, old_name): (NodeId, &CStr),
        (new_parent, new_name): (NodeId, &CStr),
        flags: u32,
        replaced: Option<&Meaning>,
    ) -> io::Result<()> {
        let old_parent = self.inode(old_parent)?;
        let new_parent = self.inode(new_parent)?;
        let old_dir = self.descriptors.path_fd(&old_parent)?;
        let new_dir = self.descriptors.path_fd(&new_parent)?;
        let flags = RenameFlags::from_bits_retain(flags);
        // These replace nothing.
        let victim = if flags.intersects(RenameFlags::NOREPLACE | RenameFlags::EXCHANGE) {
            None
        } else {
            self.victim(&new_parent, new_dir.as_fd(), new_name, replaced)
        };
        rustix::fs::renameat_with(&old_dir, old_name, &new_dir, new_name, flags)?;
        self.keep_nameless(victim);
        Ok(())
    }

    /// What `name` means, if the guest knows it, opened before it may lose its last name: afterwards its file handle
    /// opens nothing.
    fn victim(
        &self,
        parent: &Inode,
        dir: BorrowedFd<'_>,
        name: &CStr,
        meaning: Option<&Meaning>,
    ) -> Option<Victim> {
        let inode = if let Some(meaning) = meaning {
            meaning.known()?
        } else {
            let identity = parent.mount.identify_by_handle(dir, name).ok().flatten()?;
            self.inodes.find(&identity)?
        };
        let fd = self.descriptors.path_fd(&inode).ok()?;
        Some((inode, fd))
    }

    /// Afterwards: keeps it if it has no name any more.
    fn keep_nameless(&self, victim: Option<Victim>) {
        let Some((inode, fd)) = victim else { return };
        // A directory had but one.
        let is_nameless = inode.file_type == stat::FileType::Directory
            || stat(&fd).is_ok_and(|stat| stat.nlink() == 0);
        if is_nameless {
            self.descriptors.hold_unlinked(&inode, fd);
        }
    }
}

/// An inode that may be about to lose its last name.
type Victim = (Arc<Inode>, PathFd);
