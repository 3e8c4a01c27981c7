//! Names and numbers at the edges of what is allowed.

use super::{Fields, node, range};
use crate::errno;
use crate::failure::{Failure, Outcome};

/// The errno that an outcome comes to, 0 where it is good.
fn errno<T>(outcome: &Outcome<T>) -> i32 {
    match outcome {
        Ok(_) => 0,
        Err(Failure::Errno(errno)) => *errno,
        Err(Failure::Malformed) => errno::EINVAL,
        Err(Failure::Memory(_)) => errno::EFAULT,
    }
}

fn long(len: usize) -> Vec<u8> {
    let mut name = vec![b'n'; len];
    name.push(0);
    name
}

#[test]
fn names_are_single_components() {
    for (bytes, expected) in [
        (&b"name\0"[..], 0),
        (b"...\0", 0),
        (b"\xFF\xFE\0", 0),
        (b".hidden\0", 0),
        (b"", errno::EINVAL),
        (b"\0", errno::EINVAL),
        (b"unterminated", errno::EINVAL),
        (b"a/b\0", errno::EINVAL),
        (b"/\0", errno::EINVAL),
        (b".\0", errno::EINVAL),
        (b"..\0", errno::EINVAL),
        (&long(255), 0),
        (&long(256), errno::ENAMETOOLONG),
        (&long(5000), errno::ENAMETOOLONG),
    ] {
        assert_eq!(errno(&Fields::new(bytes).name()), expected, "{bytes:?}");
    }
}

#[test]
fn only_lookup_may_ask_for_dots() {
    assert_eq!(Fields::new(b".\0").component().expect("allowed"), c".");
    assert_eq!(Fields::new(b"..\0").component().expect("allowed"), c"..");
    assert_eq!(errno(&Fields::new(b"../x\0").component()), errno::EINVAL);
}

#[test]
fn targets_and_xattr_names_have_their_own_rules() {
    assert_eq!(Fields::new(b"../a/b\0").target().expect("allowed"), c"../a/b");
    assert_eq!(errno(&Fields::new(b"\0").target()), errno::EINVAL);
    assert_eq!(errno(&Fields::new(&long(4095)).target()), 0);
    assert_eq!(errno(&Fields::new(&long(4096)).target()), errno::ENAMETOOLONG);

    assert_eq!(Fields::new(b"user.a/b\0").xattr_name().expect("allowed"), c"user.a/b");
    assert_eq!(errno(&Fields::new(b"\0").xattr_name()), errno::EINVAL);
    assert_eq!(errno(&Fields::new(&long(255)).xattr_name()), 0);
    assert_eq!(errno(&Fields::new(&long(256)).xattr_name()), errno::ERANGE);
}

#[test]
fn fields_come_in_order_and_must_all_be_taken() {
    let mut fields = Fields::new(b"\x05\0\0\0one\0two\0tail");
    assert_eq!(fields.take::<u32>().expect("four bytes"), 5);
    assert_eq!(fields.name().expect("a name"), c"one");
    assert_eq!(fields.name().expect("a name"), c"two");
    assert_eq!(errno(&fields.end()), errno::EINVAL);
    assert_eq!(errno(&fields.take::<u64>()), errno::EINVAL, "four bytes left");
    assert_eq!(errno(&fields.bytes(5)), errno::EINVAL);
    assert_eq!(fields.bytes(4).expect("the tail"), b"tail");
    assert_eq!(errno(&fields.end()), 0);
}

#[test]
fn node_0_is_no_node() {
    assert_eq!(errno(&node(0)), errno::EINVAL);
    assert_eq!(node(1).expect("the root").0, 1);
}

#[test]
fn ranges_end_where_files_do() {
    const LAST: u64 = i64::MAX as u64;
    assert_eq!(errno(&range(0, LAST)), 0);
    assert_eq!(errno(&range(LAST, 0)), 0);
    assert_eq!(errno(&range(LAST, 1)), errno::EINVAL);
    assert_eq!(errno(&range(LAST + 1, 0)), errno::EINVAL);
    assert_eq!(errno(&range(u64::MAX, u64::MAX)), errno::EINVAL);
}
