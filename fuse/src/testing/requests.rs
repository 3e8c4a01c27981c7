//! One well-formed request of each kind, as Linux sends it.

use crate::abi::{
    AccessIn, BatchForgetIn, CopyFileRangeIn, CreateIn, ExtHeader, FallocateIn, FileLock, FlushIn,
    ForgetIn, ForgetOne, FsyncIn, GETATTR_FH, GetattrIn, GetxattrIn, InitFlags, InitIn,
    InterruptIn, IoctlIn, LK_FLOCK, LinkIn, LkIn, LseekIn, MAJOR, MkdirIn, MknodIn, Opcode, OpenIn,
    ReadIn, ReleaseIn, RemovemappingIn, RemovemappingOne, Rename2In, RenameIn, Secctx, SetattrIn,
    SetattrValid, SetupmappingIn, SetxattrExtIn, SetxattrIn, StatxIn, SuppGroup, SyncfsIn, WriteIn,
};
use zerocopy::IntoBytes;

use super::RequestBuilder as Request;

/// INIT as a guest with this minor version and these capabilities sends it since 7.36.
#[must_use]
pub fn init(minor: u32, flags: InitFlags) -> Vec<u8> {
    let init = InitIn {
        major: MAJOR,
        minor,
        max_readahead: 0x20000,
        flags: (flags | InitFlags::INIT_EXT).bits() as u32,
        flags2: (flags.bits() >> 32) as u32,
        unused: [0; 7],
        table_id: [0; 16],
    };
    Request::new(Opcode::Init).node(0).with(&init).build()
}

/// INIT as guests before 7.36 send it.
#[must_use]
pub fn init_short(minor: u32, flags: InitFlags) -> Vec<u8> {
    let init = [MAJOR, minor, 0x20000, flags.bits() as u32];
    Request::new(Opcode::Init).node(0).with(&init).build()
}

/// A request of each kind. SETXATTR has its longer header, and creations have extensions:
/// a security context and a group.
#[must_use]
pub fn valid(opcode: Opcode) -> Vec<u8> {
    let request = Request::new(opcode);
    let request = match opcode {
        Opcode::Init => return init(45, InitFlags::all()),
        Opcode::Destroy | Opcode::NotifyReply => request.node(0),
        Opcode::Readlink | Opcode::Statfs => request,
        Opcode::Lookup | Opcode::Unlink | Opcode::Rmdir => request.name(b"name"),
        Opcode::Forget => request.with(&ForgetIn { nlookup: 3 }),
        Opcode::BatchForget => request
            .node(0)
            .with(&BatchForgetIn { count: 2, dummy: 0 })
            .with(&ForgetOne { nodeid: 7, nlookup: 1 })
            .with(&ForgetOne { nodeid: 8, nlookup: 2 }),
        Opcode::Getattr => request.with(&GetattrIn { getattr_flags: GETATTR_FH, dummy: 0, fh: 9 }),
        Opcode::Statx => request.with(&StatxIn { sx_mask: 0xFFF, ..StatxIn::default() }),
        Opcode::Setattr => request.with(&setattr()),
        Opcode::Symlink => request.name(b"name").name(b"../target").extensions(&extensions()),
        Opcode::Mknod => {
            let mknod = MknodIn { mode: 0o10_644, rdev: 0x103, umask: 0o22, padding: 0 };
            request.with(&mknod).name(b"name").extensions(&extensions())
        }
        Opcode::Mkdir => {
            let mkdir = MkdirIn { mode: 0o755, umask: 0o22 };
            request.with(&mkdir).name(b"name").extensions(&extensions())
        }
        Opcode::Create => request.with(&create()).name(b"name").extensions(&extensions()),
        Opcode::Tmpfile => request.with(&create()).name(b"/").extensions(&extensions()),
        Opcode::Rename => request.with(&RenameIn { newdir: 8 }).name(b"old").name(b"new"),
        Opcode::Rename2 => {
            let rename = Rename2In { newdir: 8, flags: 1, padding: 0 };
            request.with(&rename).name(b"old").name(b"new")
        }
        Opcode::Link => request.with(&LinkIn { oldnodeid: 8 }).name(b"name"),
        Opcode::Open => request.with(&OpenIn { flags: 0o1002, open_flags: 1 }),
        Opcode::Opendir => request.with(&OpenIn { flags: 0o200_000, open_flags: 0 }),
        _ => return open_file(request, opcode).build(),
    };
    request.build()
}

/// Requests on open files, and the rest.
fn open_file(request: Request, opcode: Opcode) -> Request {
    match opcode {
        Opcode::Read => request.with(&read(4096, 64)),
        Opcode::Readdir | Opcode::Readdirplus => request.with(&read(0, 4096)),
        Opcode::Write => request.with(&write(5)).bytes(b"hello"),
        Opcode::Release | Opcode::Releasedir => {
            request.with(&ReleaseIn { fh: 9, flags: 2, release_flags: 1, lock_owner: 11 })
        }
        Opcode::Fsync | Opcode::Fsyncdir => {
            request.with(&FsyncIn { fh: 9, fsync_flags: 1, padding: 0 })
        }
        Opcode::Flush => request.with(&FlushIn { fh: 9, lock_owner: 11, ..FlushIn::default() }),
        Opcode::Setxattr => request
            .with(&SetxattrIn { size: 5, flags: 1 })
            .with(&SetxattrExtIn { setxattr_flags: 1, padding: 0 })
            .name(b"user.name")
            .bytes(b"value"),
        Opcode::Getxattr => request.with(&GetxattrIn { size: 64, padding: 0 }).name(b"user.name"),
        Opcode::Listxattr => request.with(&GetxattrIn { size: 64, padding: 0 }),
        Opcode::Removexattr => request.name(b"user.name"),
        Opcode::Access => request.with(&AccessIn { mask: 4, padding: 0 }),
        Opcode::Ioctl => request.with(&ioctl()).bytes(&[1, 2, 3, 4]),
        Opcode::Fallocate => {
            request.with(&FallocateIn { fh: 9, offset: 4096, length: 8192, mode: 3, padding: 0 })
        }
        Opcode::Lseek => request.with(&LseekIn { fh: 9, offset: 100, whence: 3, padding: 0 }),
        Opcode::CopyFileRange | Opcode::CopyFileRange64 => request.with(&copy()),
        Opcode::Setupmapping => request.with(&SetupmappingIn {
            fh: u64::MAX,
            foffset: 0x20_0000,
            len: 0x20_0000,
            flags: 3,
            moffset: 0x40_0000,
        }),
        Opcode::Removemapping => request
            .with(&RemovemappingIn { count: 2 })
            .with(&RemovemappingOne { moffset: 0x20_0000, len: 0x20_0000 })
            .with(&RemovemappingOne { moffset: 0x40_0000, len: 0x20_0000 }),
        Opcode::Syncfs => request.with(&SyncfsIn::default()),
        Opcode::Interrupt => request.with(&InterruptIn { unique: 77 }),
        Opcode::Getlk | Opcode::Setlk => request.with(&lock(0)),
        Opcode::Setlkw => request.with(&lock(LK_FLOCK)),
        Opcode::Bmap => request.bytes(&[0; 8]),
        // POLL.
        _ => request.bytes(&[0; 24]),
    }
}

/// A security context and a group, as `get_create_ext` in the kernel lays them out.
fn extensions() -> Vec<u8> {
    let context = [Secctx { size: 5, padding: 0 }.as_bytes(), b"security.label\0", b"label"];
    let mut context = context.concat();
    context.resize(context.len().next_multiple_of(8), 0);
    let contexts = ExtHeader { size: 8 + context.len() as u32, kind: 1 };
    let groups = ExtHeader { size: 16, kind: ExtHeader::GROUPS };
    let group = SuppGroup { nr_groups: 1, group: 27 };
    [contexts.as_bytes(), &context, groups.as_bytes(), group.as_bytes()].concat()
}

fn setattr() -> SetattrIn {
    let valid = SetattrValid::MODE | SetattrValid::SIZE | SetattrValid::MTIME | SetattrValid::FH;
    SetattrIn {
        valid: valid.bits(),
        fh: 9,
        size: 123,
        mtime: 1_700_000_000,
        mtimensec: 5,
        mode: 0o100_640,
        ..SetattrIn::default()
    }
}

fn create() -> CreateIn {
    CreateIn { flags: 0o102, mode: 0o100_644, umask: 0o22, open_flags: 0 }
}

fn read(offset: u64, size: u32) -> ReadIn {
    ReadIn { fh: 9, offset, size, flags: 2, ..ReadIn::default() }
}

fn write(size: u32) -> WriteIn {
    WriteIn { fh: 9, offset: 4096, size, write_flags: 4, flags: 1, ..WriteIn::default() }
}

/// A write lock of bytes 100 to 199.
fn lock(lk_flags: u32) -> LkIn {
    let lk = FileLock { start: 100, end: 199, r#type: 1, pid: 4321 };
    LkIn { fh: 9, owner: 11, lk, lk_flags, padding: 0 }
}

fn ioctl() -> IoctlIn {
    IoctlIn { fh: 9, cmd: 0x8008_6601, arg: 0xF00, in_size: 4, out_size: 4, ..IoctlIn::default() }
}

fn copy() -> CopyFileRangeIn {
    CopyFileRangeIn {
        fh_in: 9,
        off_in: 10,
        nodeid_out: 8,
        fh_out: 19,
        off_out: 20,
        len: 1 << 33,
        flags: 0,
    }
}
