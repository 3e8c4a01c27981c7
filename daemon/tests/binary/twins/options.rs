//! `--readonly`, `--preserve-noatime`, `--socket-group`.

use std::fs::{File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use fuse::abi::{InitFlags, LinkIn, Opcode, Rename2In, RenameIn, SetattrValid};

use super::scene::Scene;
use super::{same, same_but};

#[test]
fn readonly_refuses_the_same() {
    for options in [&["--xattr"][..], &["--xattr", "--readonly"]] {
        // Cutting a file by opening it to read: ours says EROFS, virtiofsd EINVAL.
        let differ = [("OPEN 0o1000: Err(30)", "OPEN 0o1000: Err(22)")];
        same_but(options, InitFlags::empty(), &differ, |scene| {
            for flags in [
                libc::O_RDONLY,
                libc::O_WRONLY,
                libc::O_RDWR,
                libc::O_RDONLY | libc::O_TRUNC,
                libc::O_RDWR | libc::O_TRUNC,
            ] {
                if let Some(handle) = scene.open(flags) {
                    scene.read(handle, flags);
                }
            }
            scene.create("new", (1000, 1000), None);
            scene.make_others((1000, 1000));
            scene.set_attr(SetattrValid::SIZE, 0, 0);
            scene.set_attr(SetattrValid::UID, 5, 0);
            scene.set_xattr("user.a", b"value");
            scene.get_xattr("user.a");
            scene.remove_xattr("user.a");
            let node = scene.node("file");
            scene.other(Opcode::Link, |request| {
                request.with(&LinkIn { oldnodeid: node }).name(b"hard")
            });
            scene.other(Opcode::Rename, |request| {
                request.with(&RenameIn { newdir: 1 }).name(b"hard").name(b"moved")
            });
            scene.other(Opcode::Rename2, |request| {
                let rename = Rename2In { newdir: 1, flags: libc::RENAME_NOREPLACE, padding: 0 };
                request.with(&rename).name(b"moved").name(b"again")
            });
            scene.other(Opcode::Unlink, |request| request.name(b"again"));
            scene.other(Opcode::Rmdir, |request| request.name(b"dir"));
        });
    }
}

/// Reads a file that was read last before it was changed.
fn read_old(scene: &mut Scene) {
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let times = FileTimes::new().set_accessed(old);
    File::options().write(true).open(scene.host("file")).unwrap().set_times(times).unwrap();
    let flags = libc::O_RDONLY | libc::O_NOATIME;
    let handle = scene.open(flags).unwrap();
    scene.read(handle, flags);
    let unchanged = scene.host("file").metadata().unwrap().accessed().unwrap() == old;
    scene.note("the time of access is kept", &unchanged);
}

#[test]
fn noatime_is_preserved_alike() {
    let none = InitFlags::empty();
    let Some(kept) = same(&["--preserve-noatime"], none, read_old) else { return };
    assert_eq!(kept.last().unwrap(), "the time of access is kept: true");
    same(&[], none, read_old);
}

#[test]
fn the_sockets_group_is_the_same() {
    for options in [&[][..], &["--socket-group", "daemon"], &["--socket-group", "no-such-group"]] {
        same(options, InitFlags::empty(), |scene| {
            let meta = scene.socket().metadata().unwrap();
            scene.note("group", &meta.gid());
            // virtiofsd lets its umask decide, and sockets may be "executed", which means nothing.
            scene.note("mode", &format!("{:o}", meta.permissions().mode() & 0o666));
        });
    }
}
