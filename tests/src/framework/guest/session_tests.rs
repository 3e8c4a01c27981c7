use std::time::Duration;

use super::*;

/// A session, and the agent's end of its connection.
fn pair() -> (Session, UnixStream) {
    let (host, guest) = UnixStream::pair().unwrap();
    (Session::new(host).unwrap(), guest)
}

fn far() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

#[test]
fn output_of_two_commands_is_told_apart() {
    let (session, mut guest) = pair();
    let first = session.start(Command::sh("one")).unwrap();
    let second = session.start(Command::new("two").arg("")).unwrap();
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let (number, message) = receive::<ToGuest>(&mut guest).unwrap().unwrap();
        assert!(matches!(message, ToGuest::Run(_)));
        numbers.push(number);
    }
    send(&mut guest, numbers[1], &FromGuest::Stdout(b"second".to_vec())).unwrap();
    send(&mut guest, numbers[0], &FromGuest::Stderr(b"first".to_vec())).unwrap();
    send(&mut guest, numbers[0], &FromGuest::Exit(3)).unwrap();
    send(&mut guest, numbers[1], &FromGuest::Exit(0)).unwrap();
    let output = first.wait(far()).unwrap();
    assert_eq!((output.status, output.stderr.as_slice()), (3, b"first".as_slice()));
    assert!(output.ok().is_err());
    assert_eq!(second.wait(far()).unwrap().ok().unwrap().text(), "second");
}

#[test]
fn the_end_of_the_guest_is_an_error_for_everyone() {
    let (session, guest) = pair();
    let running = session.start(Command::sh("sleep 1000")).unwrap();
    drop(guest);
    assert!(running.wait(far()).unwrap_err().to_string().contains("gone"));
    assert!(session.wait_for_hello(far()).is_err());
    assert!(session.start(Command::sh("true")).is_err());
}

#[test]
fn waiting_is_bounded() {
    let (session, _guest) = pair();
    let running = session.start(Command::sh("sleep 1000")).unwrap();
    assert_eq!(running.next(Instant::now()).unwrap(), None);
    assert!(running.wait(Instant::now()).unwrap_err().to_string().contains("in time"));
}
