use super::*;

/// `FAN_CREATE` of "a" as Linux 6.18 writes it, on ext4.
fn create() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(84_u32.to_ne_bytes());
    bytes.extend([VERSION, 0]);
    bytes.extend(24_u16.to_ne_bytes());
    bytes.extend(libc::FAN_CREATE.to_ne_bytes());
    bytes.extend((-1_i32).to_ne_bytes());
    bytes.extend(42_i32.to_ne_bytes());
    for (kind, len, handle, tail) in
        [(2_u8, 32_u16, *b"thedir__", &b"a\0\0\0"[..]), (1, 28, *b"thefile_", b"")]
    {
        bytes.extend([kind, 0]);
        bytes.extend(len.to_ne_bytes());
        bytes.extend(7_i32.to_ne_bytes());
        bytes.extend(8_i32.to_ne_bytes());
        bytes.extend(8_u32.to_ne_bytes());
        bytes.extend(1_i32.to_ne_bytes());
        bytes.extend(handle);
        bytes.extend(tail);
    }
    bytes
}

#[test]
fn an_event_says_where_and_what() {
    let bytes = create();
    let event = events(&bytes).next().unwrap().unwrap();
    assert_eq!((event.mask, event.pid), (libc::FAN_CREATE, 42));
    let subject = event.subject().unwrap();
    let identity = |handle| Identity::Handle { fsid: [7, 8], kind: 1, handle };
    assert_eq!(subject.name, Some((identity(b"thedir__"), &b"a"[..])));
    assert_eq!(subject.inode, Some(identity(b"thefile_")));
}

#[test]
fn whatever_is_cut_off_or_changed_is_malformed_and_never_read_past() {
    let whole = create();
    for len in 1..whole.len() {
        assert!(matches!(events(&whole[..len]).next(), Some(Err(Malformed))), "{len}");
    }
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            for event in events(&bytes).take(10).flatten() {
                let _ = event.subject();
            }
        }
    }
}
