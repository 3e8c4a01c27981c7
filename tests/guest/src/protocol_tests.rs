use super::*;

fn round_trip<M: Message + PartialEq + std::fmt::Debug>(message: &M) {
    let mut wire = Vec::new();
    send(&mut wire, 7, message).unwrap();
    let (command, back): (u32, M) = receive(&mut wire.as_slice()).unwrap().unwrap();
    assert_eq!((command, &back), (7, message));
}

#[test]
fn every_message_survives_the_wire() {
    round_trip(&ToGuest::Run(Run {
        argv: vec![b"sh".to_vec(), b"-c".to_vec(), b"echo 'a \"b\" $c \xff\n'".to_vec(), vec![]],
        env: vec![(b"GUEST".to_vec(), b"0".to_vec()), (b"EMPTY".to_vec(), vec![])],
        directory: b"/mnt".to_vec(),
        stdin: vec![0, 1, 2],
    }));
    round_trip(&ToGuest::Signal(9));
    round_trip(&ToGuest::PowerOff);
    round_trip(&FromGuest::Hello("6.12".into()));
    round_trip(&FromGuest::Stdout(vec![0xff; 3]));
    round_trip(&FromGuest::Stderr(vec![]));
    round_trip(&FromGuest::Exit(-1));
}

#[test]
fn the_stream_ends_cleanly_between_frames_only() {
    let mut wire = Vec::new();
    send(&mut wire, 1, &FromGuest::Stdout(b"hello".to_vec())).unwrap();
    let mut rest = wire.as_slice();
    assert!(receive::<FromGuest>(&mut rest).unwrap().is_some());
    assert!(receive::<FromGuest>(&mut rest).unwrap().is_none());
    assert!(receive::<FromGuest>(&mut &wire[..wire.len() - 1]).is_err());
}

#[test]
fn what_is_no_frame_is_refused() {
    let absurd = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 2];
    assert!(receive::<FromGuest>(&mut absurd.as_slice()).is_err());
    let unknown = [0, 0, 0, 0, 0, 0, 0, 0, 99];
    assert!(receive::<FromGuest>(&mut unknown.as_slice()).is_err());
    assert!(Run::decode(&[0, 0, 0, 0]).is_none());
    assert!(Run::decode(&[0xff, 0xff, 0xff, 0xff]).is_none());
}
