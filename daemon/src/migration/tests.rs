use fuse::abi::InitFlags;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::encode::{MAGIC, VERSION};
use super::*;

fn handle() -> impl Strategy<Value = SavedHandle> {
    (any::<i32>(), vec(any::<u8>(), 1..129)).prop_map(|(kind, bytes)| SavedHandle { kind, bytes })
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec("[a-z.]{3,9}", 1..5).prop_map(|names| names.join("/").into_bytes())
}

fn place() -> impl Strategy<Value = Whereabouts> {
    prop_oneof![
        (path(), option::of(handle()))
            .prop_map(|(path, handle)| Whereabouts::Path { path, handle }),
        (0..3u32, handle()).prop_map(|(mount, handle)| Whereabouts::Handle { mount, handle }),
        "[ -~]{0,200}".prop_map(Whereabouts::Nowhere),
    ]
}

fn kind() -> impl Strategy<Value = SavedKind> {
    prop_oneof![Just(SavedKind::Regular), Just(SavedKind::Directory), Just(SavedKind::Other)]
}

/// States as daemons write them.
fn state() -> impl Strategy<Value = State> {
    let inodes = vec((1..=u64::MAX, kind(), place()), 0..20);
    let files = vec((any::<usize>(), any::<u32>()), 0..20);
    (any::<u64>(), option::of(handle()), vec(path(), 3), inodes, files).prop_map(
        |(flags, root, mounts, inodes, files)| {
            let numbered = inodes.into_iter().zip(2..);
            let inodes: Vec<_> = numbered
                .map(|((lookups, kind, place), node)| SavedInode { node, lookups, kind, place })
                .collect();
            let node = |index: usize| 1 + (index % (inodes.len() + 1)) as u64;
            let numbered = files.into_iter().zip(1..);
            let files: Vec<_> = numbered
                .map(|((index, flags), handle)| SavedFile { handle, node: node(index), flags })
                .collect();
            let session = SavedSession {
                minor: 45,
                agreed: InitFlags::from_bits_retain(flags),
                next_node: 30,
                next_handle: 30,
            };
            State { session: Some(session), root, mounts, inodes, files }
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read(state in state()) {
        prop_assert_eq!(State::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn what_is_cut_short_is_refused(state in state(), at in any::<prop::sample::Index>()) {
        let bytes = state.encode();
        prop_assert!(State::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    /// Read or refused, but never otherwise; and what is read is what would have been written.
    #[test]
    fn any_change_of_a_byte_is_survived(
        state in state(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = state.encode();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = State::decode(&bytes) {
            prop_assert_eq!(State::decode(&read.encode()), Ok(read));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
        let header = [&MAGIC[..], &VERSION.to_le_bytes(), &(bytes.len() as u64).to_le_bytes()];
        let _ = State::decode(&bytes);
        let _ = State::decode(&[&header.concat()[..], &bytes].concat());
    }
}

fn with(records: &[u8]) -> Vec<u8> {
    let length = (records.len() as u64).to_le_bytes();
    [&MAGIC[..], &VERSION.to_le_bytes(), &length, records].concat()
}

fn small() -> State {
    State {
        session: Some(SavedSession {
            minor: 45,
            agreed: InitFlags::ASYNC_READ,
            next_node: 9,
            next_handle: 3,
        }),
        inodes: vec![SavedInode {
            node: 5,
            lookups: 2,
            kind: SavedKind::Regular,
            place: Whereabouts::Path { path: b"a/b".to_vec(), handle: None },
        }],
        files: vec![SavedFile { handle: 2, node: 5, flags: 0 }],
        ..State::default()
    }
}

#[test]
fn records_of_later_versions_are_named_or_passed_over() {
    let known = small().encode();
    let with_record = |name: &[u8; 4]| {
        let record = [&name[..], &3u32.to_le_bytes(), b"new"].concat();
        with(&[&known[20..], &record].concat())
    };
    let error = State::decode(&with_record(b"LOCK")).unwrap_err();
    assert_eq!(error, DecodeError::Unknown("LOCK".to_owned()));
    assert!(error.to_string().contains("newer samepaged"));
    assert_eq!(State::decode(&with_record(b"note")), Ok(small()));
    assert_eq!(State::decode(&with_record(b"\n\0XY")).unwrap_err().to_string().lines().count(), 1);
}

#[test]
fn what_is_no_state_or_another_format_is_told_apart() {
    assert_eq!(State::decode(b""), Err(DecodeError::Nothing));
    assert_eq!(State::decode(b"bincode and the like"), Err(DecodeError::NotAState));
    let mut later = small().encode();
    later[8] = 2;
    assert_eq!(State::decode(&later), Err(DecodeError::Version { found: 2 }));
    let mut longer = small().encode();
    longer.push(0);
    assert!(matches!(State::decode(&longer), Err(DecodeError::Length { .. })));
}

/// What is wrong with a state that was changed in one place.
fn complaint(change: impl FnOnce(&mut State)) -> String {
    let mut state = small();
    change(&mut state);
    State::decode(&state.encode()).unwrap_err().to_string()
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let moved = |path: &[u8]| {
        let place = Whereabouts::Path { path: path.to_vec(), handle: None };
        complaint(|state| state.inodes[0].place = place)
    };
    for path in
        [&b""[..], b"/etc/passwd", b"a/../../b", b"a//b", b"a/", b".", b"a\0b", &[b'x'; 256]]
    {
        assert!(moved(path).contains("path"), "{}", path.escape_ascii());
    }
    assert!(complaint(|state| state.inodes[0].node = 1).contains("the same number"));
    assert!(complaint(|state| state.inodes[0].node = 0).contains("never given"));
    assert!(complaint(|state| state.inodes[0].node = 9).contains("never given"));
    assert!(complaint(|state| state.inodes[0].lookups = 0).contains("forgotten"));
    assert!(complaint(|state| state.inodes.push(state.inodes[0].clone())).contains("the same"));
    assert!(complaint(|state| state.files[0].node = 6).contains("does not know"));
    assert!(complaint(|state| state.files[0].handle = 3).contains("never given"));
    assert!(complaint(|state| state.files.push(state.files[0])).contains("the same number"));
    assert!(complaint(|state| state.session = None).contains("mounted"));
    let handle = SavedHandle { kind: 1, bytes: vec![1] };
    let nowhere = Whereabouts::Handle { mount: 0, handle: handle.clone() };
    assert!(complaint(|state| state.inodes[0].place = nowhere).contains("mount"));
    let long = SavedHandle { bytes: vec![0; 129], ..handle };
    assert!(complaint(|state| state.root = Some(long)).contains("handle"));
    let line = Whereabouts::Nowhere("two\nlines".to_owned());
    assert!(complaint(|state| state.inodes[0].place = line).contains("reason"));
}
