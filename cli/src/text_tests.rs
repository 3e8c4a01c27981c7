use super::*;

fn daemon_report() -> DaemonReport {
    DaemonReport {
        row: 3,
        pid: 4711,
        alive: true,
        since: 1000,
        in_progress: 2,
        holds_everything: false,
        changes: 1_234_567,
        changes_per_second: Some(99.6),
        held: 4,
        lingering: 0,
        front_end: Some(17),
        sweeps: 5,
        given_up: 6,
        reaped: 7,
    }
}

fn report() -> Report {
    Report {
        path: "/dev/shm/t".into(),
        id: "00ff".into(),
        abi_version: 1,
        slots: 1 << 20,
        bytes: 8 << 20,
        memory: 12 << 10,
        touched: 9,
        busy: 3,
        stuck: 0,
        moved_per_second: None,
        changes_per_second: Some(100.0),
        leaked: vec![],
        leaked_unlisted: 0,
        daemons: vec![daemon_report()],
        host_file_error: None,
    }
}

#[test]
fn a_table_at_work() {
    let shown = of(&report(), 1000 + 3725);
    let expected = "\
table    /dev/shm/t
id       00ff  (layout 1)
size     1,048,576 slots, 8.0 MiB; 9 touched, 12 KiB of memory
rate     100 changes/s, - slots moved/s
slots    3 busy, 0 leaked, 0 stuck

 row      pid state        age  changes/s      changes progress   held  sweeps  passed  reaped  notes
   3     4711 alive      1h02m        100    1,234,567        2      4       5       6       7  
";
    assert_eq!(shown, expected);
}

#[test]
fn leaks_come_with_what_they_mean() {
    let leaked = Report { leaked: (600..620).collect(), leaked_unlisted: 2, ..report() };
    let shown = of(&leaked, 0);
    assert!(shown.contains("22 leaked"), "{shown}");
    assert!(shown.contains("leaked: 600, 601") && shown.contains("615, ...\n"), "{shown}");
}

#[test]
fn what_is_special_about_a_daemon_is_noted() {
    let dead =
        DaemonReport { alive: false, lingering: 1, holds_everything: true, ..daemon_report() };
    let shown = of(&Report { daemons: vec![dead], ..report() }, 0);
    let notes =
        "its front end 17 has files mapped; holds every slot; 1 slots wait for a stuck daemon";
    assert!(shown.contains("dead") && shown.contains(notes), "{shown}");
}

#[test]
fn nobody_and_nothing_known() {
    assert!(of(&Report { daemons: vec![], ..report() }, 0).ends_with("daemons  none\n"));
    let error = Some("no permission".to_owned());
    let shown = of(&Report { host_file_error: error, ..report() }, 0);
    assert!(shown.ends_with("daemons  unknown: no permission\n"), "{shown}");
}

#[test]
fn ages_and_sizes() {
    let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400, 900_000].map(age);
    assert_eq!(ages, ["0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h", "10d10h"]);
    assert_eq!([0, 999, 1000, 1_000_000].map(grouped), ["0", "999", "1,000", "1,000,000"]);
    assert_eq!([1, 4096, 8 << 20].map(bytes), ["1 B", "4 KiB", "8.0 MiB"]);
}
