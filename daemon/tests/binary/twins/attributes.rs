//! `--xattrmap`, `--posix-acl`, `--security-label`.

use fuse::abi::{ExtHeader, InitFlags, Secctx, SetattrValid};
use zerocopy::IntoBytes;

use super::same;
use super::scene::{Scene, set_on_host};

/// Rules that make sense, and some that do not: either both daemons take them, or neither does. Each that makes sense is
/// about every name: virtiofsd panics where none of its rules is.
const MAPS: &[&str] = &[
    ":map::user.virtiofs.:",
    ":prefix:all::user.virtiofs.::bad:all:::",
    "/map/trusted./user.virtiofs./",
    "/prefix/all/trusted./user.virtiofs./ \n /bad/server//trusted./ /bad/client/user.virtiofs.//\t/ok/all///",
    "/bad/all/security./security./ /ok/all///",
    "/unsupported/all/security.selinux/security.selinux//ok/all///",
    "/unsupported/client/user.a//ok/client////ok/all///",
    ":map:security.selinux:trusted.virtiofs.:",
    ":map:security.:user.virtiofs.:",
    ":map:user.:user.virtiofs.:",
    ":map:system.:user.virtiofs.:",
    ":prefix:client:trusted.:user.virtiofs.::ok:all:::",
    ":prefix:server::user.virtiofs.::ok:all:::",
    ":prefix:server:trusted.:user.virtiofs.::ok:all:::",
    ":ok:client:user.:::ok:all:::",
    ":ok:server::security.::ok:all:::",
    ":ok:all:::",
    ":bad:all:::",
    ":bad:server::user.host::ok:all:::",
    ":ok:client:user.a::bad:client:user.::ok:all:::",
    ":ok:all:user.:user.::ok:all:::",
    "  :ok:all:::  ",
    "xokxallxxxx",
    "xokxallxxx",
    "",
    " ",
    ":",
    "::",
    ":map:",
    ":map:a:",
    ":map:a:b",
    ":map::user.virtiofs.::ok:all:::",
    ":map::a.::map::b.:",
    ":ok:all::",
    ":ok:nobody:::",
    ":okay:all:::",
    "/ok:all:::",
    ":OK:all:::",
    ":ok:all:::trailing",
    "map::user.virtiofs.:",
];

const NAMES: &[&str] = &[
    "user.a",
    "user.aa",
    "user.b",
    "user.virtiofs.user.a",
    "user.virtiofs.trusted.t",
    "trusted.t",
    "security.selinux",
    "security.other",
    "system.posix_acl_access",
    "system.other",
    "nothing",
];

fn use_all(scene: &mut Scene) {
    let file = scene.host("file");
    set_on_host(&file, "user.host", b"1");
    set_on_host(&file, "user.virtiofs.user.there", b"2");
    set_on_host(&file, "user.virtiofs.trusted.t", b"3");
    set_on_host(&file, "trusted.t", b"4");
    scene.list_xattr("file");
    for name in NAMES {
        scene.get_xattr(name);
        scene.set_xattr(name, b"value");
        scene.get_xattr(name);
    }
    scene.set_xattr(&format!("user.{}", "x".repeat(245)), b"long");
    scene.list_xattr("file");
    scene.host_xattrs("file");
    for name in NAMES {
        scene.remove_xattr(name);
    }
    scene.list_xattr("file");
    scene.host_xattrs("file");
}

#[test]
fn xattrmap_means_the_same() {
    for map in MAPS {
        same(&["--xattr", "--xattrmap", map], InitFlags::empty(), use_all);
        same(&["--modcaps=+sys_admin", "--xattr", "--xattrmap", map], InitFlags::empty(), use_all);
    }
    same(&["--xattr"], InitFlags::empty(), use_all);
    same(&[], InitFlags::empty(), use_all);
}

/// `cap_net_raw=ep`, as the kernel lays it out.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_mapped_capability_ends_when_the_file_changes() {
    let flags = InitFlags::HANDLE_KILLPRIV_V2;
    for map in [":map::user.virtiofs.:", ":ok:all:::"] {
        let options = ["--xattr", "--killpriv-v2", "--xattrmap", map];
        let lines = same(&options, flags, |scene| {
            let handle = scene.open(libc::O_RDWR).unwrap();
            scene.set_xattr("security.capability", &CAPABILITY);
            scene.host_xattrs("file");
            scene.write(handle);
            scene.host_xattrs("file");
            scene.set_xattr("security.capability", &CAPABILITY);
            scene.set_attr(SetattrValid::SIZE, 0, 0);
            scene.host_xattrs("file");
        });
        let Some(lines) = lines else { return };
        assert_eq!(lines.last().unwrap(), "on the host: []");
    }
}

#[test]
fn posix_acl_is_agreed_on_alike() {
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0,
        255, 255, 255, 255,
    ];
    for option in ["--posix-acl", "--posix-acl=auto", "--posix-acl=never"] {
        for flags in [InitFlags::empty(), InitFlags::POSIX_ACL | InitFlags::DONT_MASK] {
            same(&["--xattr", option], flags, |scene| {
                scene.set_xattr("system.posix_acl_access", &acl);
                scene.get_xattr("system.posix_acl_access");
                scene.list_xattr("file");
                scene.owner("file");
                scene.remove_xattr("system.posix_acl_access");
            });
        }
    }
}

#[test]
fn labels_of_new_files_are_set_alike() {
    let flags = InitFlags::SECURITY_CTX;
    for options in [
        &["--security-label"][..],
        &["--security-label=auto"],
        &["--security-label=never", "--xattr"],
        &["--security-label", "--xattrmap", ":map::user.virtiofs.:"],
    ] {
        for flags in [InitFlags::empty(), flags] {
            same(options, flags, |scene| {
                let context = scene.has(InitFlags::SECURITY_CTX).then(security_context);
                scene.create("new", (0, 0), context.as_deref());
                if scene.host("new").exists() {
                    scene.host_xattrs("new");
                    scene.list_xattr("new");
                }
            });
        }
    }
}

/// One label, as `get_security_context` in the kernel lays it out.
fn security_context() -> Vec<u8> {
    let context = [Secctx { size: 5, padding: 0 }.as_bytes(), b"security.selinux\0", b"label"];
    let mut context = context.concat();
    context.resize(context.len().next_multiple_of(8), 0);
    let header = ExtHeader { size: 8 + context.len() as u32, kind: 1 };
    [header.as_bytes(), &context].concat()
}
