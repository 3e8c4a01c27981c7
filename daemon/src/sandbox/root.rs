//! A new root: the shared directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::{Enclosed, SandboxError, failed, sys};

const NOTHING: Option<&str> = None;

/// Makes `shared_dir`, with all that is mounted below it, the root of this mount namespace and unmounts everything else.
/// Mounts that come or go below it on the host still do so here.
pub(super) fn pivot(shared_dir: &Path, readonly: bool) -> Result<Enclosed, SandboxError> {
    // What is mounted here is not to be seen outside.
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_SLAVE, NOTHING)
        .map_err(io::Error::from)
        .map_err(failed("mount propagation"))?;
    let proc_self_fd = only("/proc/self/fd").map_err(failed("/proc/self/fd"))?;
    let proc_self = open("/proc/self").map_err(failed("/proc/self"))?;
    let tree = tree(shared_dir, readonly).map_err(failed("the shared directory's mounts"))?;
    switch_to(&tree).map_err(failed("pivot_root"))?;
    let mounts = mountinfo(&proc_self).map_err(failed("/proc/self/mountinfo"))?;
    Ok(Enclosed { shared_dir: PathBuf::from("/"), mounts, proc_self_fd })
}

/// Makes `shared_dir` the root of this process only.
pub(super) fn chroot(shared_dir: &Path) -> Result<Enclosed, SandboxError> {
    // With the rights for it, without a way up from there.
    let proc_self_fd = only("/proc/self/fd")
        .or_else(|_| open("/proc/self/fd"))
        .map_err(failed("/proc/self/fd"))?;
    let proc_self = open("/proc/self").map_err(failed("/proc/self"))?;
    nix::unistd::chroot(shared_dir).map_err(io::Error::from).map_err(failed("chroot"))?;
    std::env::set_current_dir("/").map_err(failed("chroot"))?;
    let mounts = mountinfo(&proc_self).map_err(failed("/proc/self/mountinfo"))?;
    Ok(Enclosed { shared_dir: PathBuf::from("/"), mounts, proc_self_fd })
}

/// A directory as a mount of its own that is nowhere attached, so that ".." leads nowhere.
fn only(directory: &str) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(CWD, directory, flags)?)
}

fn open(path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Only now: before, its paths would begin at the old root.
fn mountinfo(proc_self: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(proc_self, "mountinfo", flags, Mode::empty())?))
}

/// The directory and its submounts, over itself. Neither devices nor programs with rights of their own can be used there:
/// a guest may make such files, for itself.
fn tree(shared_dir: &Path, readonly: bool) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, shared_dir, flags)?;
    let mut attributes = libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
    if readonly {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    sys::set_mount_attributes(tree.as_fd(), attributes)?;
    move_mount(&tree, "", CWD, shared_dir, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(tree)
}

fn switch_to(tree: &OwnedFd) -> io::Result<()> {
    let old = open("/")?;
    rustix::process::fchdir(tree)?;
    // Both in one place: the old root lies on the new one until it is unmounted.
    rustix::process::pivot_root(".", ".")?;
    rustix::process::fchdir(&old)?;
    mount(NOTHING, ".", NOTHING, MsFlags::MS_REC | MsFlags::MS_SLAVE, NOTHING)?;
    umount2(".", MntFlags::MNT_DETACH)?;
    rustix::process::fchdir(tree)?;
    Ok(())
}
