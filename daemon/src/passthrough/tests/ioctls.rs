//! IOCTL.

use fuse::filesystem::Ioctl;
use fuse::{FileSystem, Handle, NodeId, errno};

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno};

const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC_FSGETXATTR: u32 = 0x801c_581f;
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
const FS_NODUMP_FL: u32 = 0x40;

on_every_share! { flags, extended_flags, nothing_else }

fn run(
    share: &Share,
    file: (NodeId, Handle),
    cmd: u32,
    input: &[u8],
    out_size: u32,
) -> std::io::Result<Vec<u8>> {
    let ioctl = Ioctl { cmd, flags: 0, arg: 0, input, out_size };
    share.fs.ioctl(&ROOT, file.0, file.1, &ioctl).map(|reply| {
        assert_eq!(reply.result, 0);
        reply.output
    })
}

fn flags(share: &Share) {
    std::fs::create_dir(share.path("dir")).unwrap();
    let node = share.node("dir");
    for file in [share.new_file("file"), (node, share.opendir(node))] {
        let output = run(share, file, FS_IOC_GETFLAGS, &[], 8).unwrap();
        let flags = u32::from_ne_bytes(output.try_into().unwrap());
        assert_eq!(flags & FS_NODUMP_FL, 0);
        let input = (flags & 0x00ff_0000 | FS_NODUMP_FL).to_ne_bytes();
        run(share, file, FS_IOC_SETFLAGS, &input, 0).unwrap();
        // As Linux sends it: an int.
        let output = run(share, file, FS_IOC_GETFLAGS, &[], 4).unwrap();
        assert_ne!(u32::from_ne_bytes(output.try_into().unwrap()) & FS_NODUMP_FL, 0);
        assert_errno(run(share, file, FS_IOC_GETFLAGS, &[], 3), errno::EINVAL);
        assert_errno(run(share, file, FS_IOC_SETFLAGS, &[0; 3], 0), errno::EINVAL);
    }
}

fn extended_flags(share: &Share) {
    let file = share.new_file("file");
    match run(share, file, FS_IOC_FSGETXATTR, &[], 28) {
        Ok(attributes) => {
            assert_eq!(attributes.len(), 28);
            run(share, file, FS_IOC_FSSETXATTR, &attributes, 0).unwrap();
            assert_errno(run(share, file, FS_IOC_FSSETXATTR, &attributes[1..], 0), errno::EINVAL);
        }
        Err(error) => assert_eq!(error.raw_os_error(), Some(errno::ENOTTY)),
    }
}

fn nothing_else(share: &Share) {
    let file = share.new_file("file");
    // FIONREAD, FICLONE, FS_IOC_GETVERSION, FITRIM, TCGETS.
    for cmd in [0x541b, 0x4004_9409, 0x8008_7601, 0xc018_5879, 0x5401, 0] {
        assert_errno(run(share, file, cmd, &[0; 64], 64), errno::ENOTTY);
    }
    assert_errno(run(share, (file.0, Handle(99)), FS_IOC_GETFLAGS, &[], 8), errno::EBADF);
}
