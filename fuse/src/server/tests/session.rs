//! Mounting, unmounting, and guests that vanish.

use super::Guest;
use crate::abi::{ExtHeader, InitFlags, MkdirIn, Opcode, Secctx, SetxattrIn};
use crate::errno;
use crate::testing::{NullFs, RequestBuilder, init, valid};
use zerocopy::IntoBytes;

#[test]
fn nothing_is_served_before_init() {
    let guest = Guest::booting(NullFs::recording());
    for &opcode in Opcode::ALL {
        let expected = match opcode {
            _ if opcode.is_one_way() => continue,
            Opcode::Init | Opcode::Destroy => continue,
            _ => errno::EIO,
        };
        assert_eq!(guest.errno(&valid(opcode)), expected, "{}", opcode.name());
    }
    assert!(guest.try_send(&valid(Opcode::Forget), 0).0.is_ok());
    assert!(guest.try_send(&valid(Opcode::BatchForget), 0).0.is_ok());
    assert_eq!(guest.errno(&valid(Opcode::Destroy)), 0, "nothing to do");
    guest.server.reset();
    assert!(guest.calls().is_empty());
}

#[test]
fn destroy_ends_the_mount_once() {
    let guest = Guest::mounted();
    assert_eq!(guest.errno(&valid(Opcode::Destroy)), 0);
    assert_eq!(guest.errno(&valid(Opcode::Destroy)), 0);
    assert_eq!(guest.calls(), ["destroy"]);
    assert_eq!(guest.errno(&valid(Opcode::Lookup)), errno::EIO);
    assert!(guest.try_send(&valid(Opcode::Forget), 0).0.is_ok(), "late forgets are dropped");
    assert!(guest.calls().is_empty());
    assert_eq!(guest.errno(&init(45, InitFlags::all())), 0, "and it may mount again");
    assert_eq!(guest.errno(&valid(Opcode::Lookup)), 0);
}

#[test]
fn a_second_init_is_a_new_guest() {
    let guest = Guest::mounted();
    assert_eq!(guest.errno(&init(45, InitFlags::ASYNC_READ)), 0);
    let calls = guest.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0], "destroy");
    assert!(calls[1].starts_with("init"));
    assert_eq!(guest.errno(&valid(Opcode::Getattr)), 0);
}

#[test]
fn reset_is_destroy_without_a_request() {
    let guest = Guest::mounted();
    guest.server.reset();
    guest.server.reset();
    assert_eq!(guest.calls(), ["destroy"]);
    assert_eq!(guest.errno(&valid(Opcode::Getattr)), errno::EIO);
}

#[test]
fn setxattr_is_read_with_the_header_that_was_agreed() {
    let short = RequestBuilder::new(Opcode::Setxattr)
        .with(&SetxattrIn { size: 5, flags: 2 })
        .name(b"user.name")
        .bytes(b"value")
        .build();
    let call = "setxattr 1000:100 NodeId(7) \"user.name\" [118, 97, 108, 117, 101]";

    let old = Guest::mounted_with(32, InitFlags::all() - InitFlags::SETXATTR_EXT);
    assert_eq!(old.errno(&short), 0);
    assert_eq!(old.calls(), [format!("{call} 2 false")]);
    assert_eq!(old.errno(&valid(Opcode::Setxattr)), errno::EINVAL);

    let new = Guest::mounted_with(33, InitFlags::all());
    assert_eq!(new.errno(&valid(Opcode::Setxattr)), 0);
    assert_eq!(new.calls(), [format!("{call} 1 true")]);
}

#[test]
fn a_security_context_of_7_36_needs_no_length() {
    let context = Secctx { size: 2, padding: 0 };
    let contexts = ExtHeader { size: 32, kind: 1 };
    let contexts = [contexts.as_bytes(), context.as_bytes(), b"security.x\0ab\0\0\0"].concat();
    let mkdir =
        RequestBuilder::new(Opcode::Mkdir).with(&MkdirIn { mode: 0o755, umask: 0 }).name(b"name");
    let without_length = mkdir.clone().bytes(&contexts).build();
    let with_length = mkdir.extensions(&contexts).build();
    let call = "mkdir 1000:100 NodeId(7) \"name\" Make { mode: 493, rdev: 0, umask: 0, \
                extensions: Extensions { supplementary_gid: None, \
                security: [(\"security.x\", [97, 98])] } }";

    let old = Guest::mounted_with(36, InitFlags::SECURITY_CTX);
    assert_eq!(old.errno(&without_length), 0);
    assert_eq!(old.calls(), [call]);

    let new = Guest::mounted_with(38, InitFlags::SECURITY_CTX);
    assert_eq!(new.errno(&without_length), errno::EINVAL);
    assert_eq!(new.errno(&with_length), 0);
    assert_eq!(new.calls(), [call]);

    let without = Guest::mounted_with(45, InitFlags::empty());
    assert_eq!(without.errno(&with_length), errno::EINVAL, "not negotiated");
}

#[test]
fn a_guest_goes_on_with_another_server() {
    let (here, there) = (Guest::mounted(), Guest::booting(NullFs::recording()));
    let agreement = here.server.agreement().unwrap();
    assert_eq!(agreement.minor, 45);
    assert!(agreement.flags.contains(InitFlags::SETXATTR_EXT | InitFlags::SECURITY_CTX));
    assert_eq!(there.server.agreement(), None);
    there.server.resume(agreement, || Ok::<_, crate::ResumeError>(())).unwrap();
    assert_eq!(there.server.agreement(), Some(agreement), "requests are read as before");
    assert_eq!(there.errno(&valid(Opcode::Lookup)), 0);
    // A second one takes the place of the first.
    there.calls();
    let refused = there.server.resume(agreement, || Err(crate::ResumeError { minor: 1 }));
    assert!(refused.is_err());
    assert_eq!(there.calls(), ["destroy"]);
    assert_eq!(there.errno(&valid(Opcode::Lookup)), errno::EIO, "nobody has mounted");
    for minor in [0, 26, 4000] {
        let strange = crate::Agreement { minor, ..agreement };
        let refused = there.server.resume(strange, || Ok::<_, crate::ResumeError>(()));
        assert_eq!(refused, Err(crate::ResumeError { minor }));
    }
}
