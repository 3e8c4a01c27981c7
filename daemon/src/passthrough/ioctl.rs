//! IOCTL: file flags and projects, nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use fuse::filesystem::{Ioctl, IoctlReply};
use fuse::{Handle, NodeId, errno};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::Passthrough;
use crate::sys;

// `include/uapi/linux/fs.h`. The first four are declared with the size of a `long` or (the 32-bit forms) an `int`, and
// all of them carry an `int`.
const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC32_GETFLAGS: u32 = 0x8004_6601;
const FS_IOC32_SETFLAGS: u32 = 0x4004_6602;
const FS_IOC_FSGETXATTR: u32 = 0x801c_581f;
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;

/// `FS_CASEFOLD_FL`: names in the directory are compared without case.
pub(crate) const CASEFOLD: IFlags = IFlags::from_bits_retain(0x4000_0000);

impl Passthrough {
    /// The guest's kernel has checked who may set what.
    pub(super) fn do_ioctl(
        &self,
        node: NodeId,
        handle: Handle,
        ioctl: &Ioctl<'_>,
    ) -> io::Result<IoctlReply> {
        let file = self.handles.ready(node, handle)?;
        let output = run(file.as_fd(), ioctl)?;
        if output.len() > ioctl.out_size as usize {
            return Err(errno::error(errno::EINVAL));
        }
        Ok(IoctlReply { result: 0, output })
    }
}

/// Whether the command changes something.
pub(crate) fn is_change(command: u32) -> bool {
    matches!(command, FS_IOC_SETFLAGS | FS_IOC32_SETFLAGS | FS_IOC_FSSETXATTR)
}

/// Whether it is asked that names in a directory be compared without case.
pub(crate) fn folds_case(ioctl: &Ioctl<'_>) -> bool {
    let sets_flags = matches!(ioctl.cmd, FS_IOC_SETFLAGS | FS_IOC32_SETFLAGS);
    let folds = |bytes| u32::from_ne_bytes(bytes) & CASEFOLD.bits() != 0;
    sets_flags && input(ioctl).is_ok_and(folds)
}

fn run(file: BorrowedFd<'_>, ioctl: &Ioctl<'_>) -> io::Result<Vec<u8>> {
    match ioctl.cmd {
        FS_IOC_GETFLAGS | FS_IOC32_GETFLAGS => {
            Ok(ioctl_getflags(file)?.bits().to_ne_bytes().to_vec())
        }
        FS_IOC_SETFLAGS | FS_IOC32_SETFLAGS => {
            let flags = IFlags::from_bits_retain(u32::from_ne_bytes(input(ioctl)?));
            ioctl_setflags(file, flags)?;
            Ok(Vec::new())
        }
        FS_IOC_FSGETXATTR => Ok(sys::get_fsxattr(file)?.to_vec()),
        FS_IOC_FSSETXATTR => {
            sys::set_fsxattr(file, &input(ioctl)?)?;
            Ok(Vec::new())
        }
        _ => Err(errno::error(errno::ENOTTY)),
    }
}

/// The first bytes of the argument.
fn input<const N: usize>(ioctl: &Ioctl<'_>) -> io::Result<[u8; N]> {
    ioctl.input.first_chunk().copied().ok_or_else(|| errno::error(errno::EINVAL))
}
