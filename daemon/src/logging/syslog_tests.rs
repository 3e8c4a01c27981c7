use super::*;

#[test]
fn a_line_is_one_datagram_with_priority_name_and_pid() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let syslog = Syslog(ours);
    let mut line = Line { syslog: &syslog, priority: priority(Level::WARN), text: Vec::new() };
    line.write_all(b"two ").unwrap();
    line.write_all(b"parts\n").unwrap();
    drop(line);
    let mut datagram = [0; 200];
    let len = theirs.recv(&mut datagram).unwrap();
    let expected = format!("<28>samepaged[{}]: two parts", process::id());
    assert_eq!(&datagram[..len], expected.as_bytes());
}

#[test]
fn levels_become_severities() {
    let priorities =
        [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE].map(priority);
    assert_eq!(priorities, [27, 28, 30, 31, 31]);
}

#[test]
fn a_logger_that_has_gone_costs_the_line_only() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let syslog = Syslog(ours);
    drop(theirs);
    syslog.send(30, b"lost");
}
