//! What each request of [`crate::testing::valid`] comes to.

use zerocopy::IntoBytes;

use crate::abi::{Attr, Opcode};
use crate::testing::answers;

/// The bytes of numbers, each in its own width.
macro_rules! le {
    ($($number:expr),* $(,)?) => { [$(&$number.to_le_bytes()[..]),*].concat() };
}
pub(super) use le;

/// `fuse_attr` of [`answers::attr`], written out by hand.
fn attr() -> Vec<u8> {
    let wide: [u64; 6] = [0x0101, 0x0202, 0x0303, 0x0404, 0x0505, 0x0606];
    let narrow: [u32; 10] =
        [0x0707, 0x0808, 0x0909, 0x0A0A, 0x0B0B, 0x0C0C, 0x0D0D, 0x0E0E, 0x0F0F, 0x1010];
    let bytes = [wide.as_bytes(), narrow.as_bytes()].concat();
    assert_eq!(bytes.len(), size_of::<Attr>());
    bytes
}

/// `fuse_entry_out`: node 42, generation 43, valid for 1.5 and 2.25 seconds.
pub(super) fn entry() -> Vec<u8> {
    [le![42u64, 43u64, 1u64, 2u64, 500_000_000u32, 250_000_000u32], attr()].concat()
}

/// `fuse_attr_out`.
fn attributes() -> Vec<u8> {
    [le![2u64, 250_000_000u32, 0u32], attr()].concat()
}

/// `fuse_open_out`: handle 77, `FOPEN_KEEP_CACHE`.
fn opened() -> Vec<u8> {
    le![77u64, 2u32, 0u32]
}

/// `fuse_statx_out`.
fn statx() -> Vec<u8> {
    let mut bytes = le![2u64, 250_000_000u32, 0u32, 0u64, 0u64];
    bytes.extend(le![0xFFFu32, 0u32, 0u64, 0u32, 0u32, 0u32, 0u32, 0x0101u64, 0x0202u64]);
    bytes.resize(288, 0);
    bytes
}

/// `fuse_dirent`s of [`answers::NAMES`], from the one after `skip`, each behind `head`.
pub(super) fn listing(skip: u64, head: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (offset, name) in (1u64..).zip(answers::NAMES).skip(skip as usize) {
        bytes.extend_from_slice(head);
        bytes.extend(le![offset + 100, offset, name.len() as u32, 8u32]);
        bytes.extend_from_slice(name);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

pub(super) const EXTENSIONS: &str = "extensions: Extensions { supplementary_gid: Some(27), \
                          security: [(\"security.label\", [108, 97, 98, 101, 108])] }";

/// The call that a well-formed request of this kind makes (`EXT` stands for the extensions), and its reply's body.
pub(super) fn expected(opcode: Opcode) -> (&'static str, Vec<u8>) {
    match opcode {
        Opcode::Lookup => ("lookup N7 \"name\"", entry()),
        Opcode::Getattr => ("getattr N7 Some(H9)", attributes()),
        Opcode::Statx => ("statx N7 None 0 4095", statx()),
        Opcode::Setattr => (
            "setattr N7 Some(H9) SetAttr { mode: Some(416), uid: None, gid: None, size: Some(123), \
             atime: None, mtime: Some(At(1700000000, 5)), kill_suidgid: false }",
            attributes(),
        ),
        Opcode::Readlink => ("readlink N7", answers::TARGET.to_vec()),
        Opcode::Symlink => {
            ("symlink N7 \"name\" \"../target\" Make { mode: 0, rdev: 0, umask: 0, EXT }", entry())
        }
        Opcode::Mknod => {
            ("mknod N7 \"name\" Make { mode: 4516, rdev: 259, umask: 18, EXT }", entry())
        }
        Opcode::Mkdir => ("mkdir N7 \"name\" Make { mode: 493, rdev: 0, umask: 18, EXT }", entry()),
        Opcode::Unlink => ("unlink N7 \"name\"", vec![]),
        Opcode::Rmdir => ("rmdir N7 \"name\"", vec![]),
        Opcode::Rename => ("rename (N7, \"old\") (N8, \"new\") 0", vec![]),
        Opcode::Rename2 => ("rename (N7, \"old\") (N8, \"new\") 1", vec![]),
        Opcode::Link => ("link N8 N7 \"name\"", entry()),
        Opcode::Open => ("open N7 Open { flags: 514, kill_suidgid: true }", opened()),
        Opcode::Create => (
            "create N7 \"name\" Create { flags: 66, mode: 33188, umask: 18, kill_suidgid: false, EXT }",
            [entry(), opened()].concat(),
        ),
        Opcode::Tmpfile => (
            "tmpfile N7 Create { flags: 66, mode: 33188, umask: 18, kill_suidgid: false, EXT }",
            [entry(), opened()].concat(),
        ),
        _ => expected_of_open_files(opcode),
    }
}

fn expected_of_open_files(opcode: Opcode) -> (&'static str, Vec<u8>) {
    match opcode {
        Opcode::Read => ("read N7 H9 Read { offset: 4096, size: 64, flags: 2 }", vec![0; 64]),
        Opcode::Write => (
            "write N7 H9 Write { offset: 4096, size: 5, flags: 1, delayed: false, kill_suidgid: true }",
            le![5u32, 0u32],
        ),
        Opcode::Flush => ("flush N7 H9 11", vec![]),
        Opcode::Release => (
            "release N7 H9 Release { flags: 2, lock_owner: 11, flush: true, flock_unlock: false, idle: false }",
            vec![],
        ),
        Opcode::Getlk => (
            "getlk N7 H9 RecordLock { owner: 11, start: 100, end: 199, kind: Write, pid: 4321 }",
            le![1u64, 2u64, 0u32, 3u32],
        ),
        Opcode::Setlk => (
            "setlk N7 H9 RecordLock { owner: 11, start: 100, end: 199, kind: Write, pid: 4321 } None",
            vec![],
        ),
        Opcode::Setlkw => {
            ("flock N7 H9 Write Some(Patience { unique: 1234605616436508552, .. })", vec![])
        }
        Opcode::Fsync => ("fsync N7 H9 true", vec![]),
        Opcode::Fallocate => ("fallocate N7 H9 3 4096 8192", vec![]),
        Opcode::Lseek => ("lseek N7 H9 100 3", le![101u64]),
        Opcode::CopyFileRange => (
            "copy_file_range CopyRange { from: (N7, H9), from_offset: 10, to: (N8, H19), \
             to_offset: 20, len: 4294963200, flags: 0 }",
            le![0xFFFF_F000u32, 0u32],
        ),
        Opcode::CopyFileRange64 => (
            "copy_file_range CopyRange { from: (N7, H9), from_offset: 10, to: (N8, H19), \
             to_offset: 20, len: 8589934592, flags: 0 }",
            le![1u64 << 33],
        ),
        Opcode::Opendir => ("opendir N7 65536", opened()),
        Opcode::Readdir => ("readdir N7 H9 0 4096", listing(0, &[])),
        Opcode::Readdirplus => ("readdirplus N7 H9 0 4096", listing(0, &entry())),
        Opcode::Releasedir => (
            "releasedir N7 H9 Release { flags: 2, lock_owner: 11, flush: true, flock_unlock: false, idle: false }",
            vec![],
        ),
        Opcode::Fsyncdir => ("fsyncdir N7 H9 true", vec![]),
        Opcode::Syncfs => ("syncfs N7", vec![]),
        Opcode::Statfs => (
            "statfs N7",
            [le![1u64, 2u64, 3u64, 4u64, 0u64, 5u32, 6u32, 0u32, 0u32], vec![0; 24]].concat(),
        ),
        Opcode::Access => ("access N7 4", vec![]),
        Opcode::Setxattr => ("setxattr N7 \"user.name\" [118, 97, 108, 117, 101] 1 true", vec![]),
        Opcode::Getxattr => ("getxattr N7 \"user.name\" 64", answers::XATTR.to_vec()),
        Opcode::Listxattr => ("listxattr N7 64", answers::XATTRS.to_vec()),
        Opcode::Removexattr => ("removexattr N7 \"user.name\"", vec![]),
        Opcode::Ioctl => (
            "ioctl N7 H9 Ioctl { cmd: 2148034049, flags: 0, arg: 3840, input: [1, 2, 3, 4], out_size: 4 }",
            [le![6u32, 0u32, 0u32, 0u32], vec![1, 2, 3, 4]].concat(),
        ),
        Opcode::Setupmapping => (
            "setup_mapping N7 None SetupMapping { file_offset: 2097152, len: 2097152, \
             window_offset: 4194304, writable: true }",
            vec![],
        ),
        Opcode::Removemapping => (
            "remove_mapping N7 [RemoveMapping { window_offset: 2097152, len: 2097152 }, \
             RemoveMapping { window_offset: 4194304, len: 2097152 }]",
            vec![],
        ),
        other => panic!("{} calls no file system", other.name()),
    }
}
