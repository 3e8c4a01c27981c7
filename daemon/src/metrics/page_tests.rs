use super::*;

fn sources() -> Sources {
    Sources {
        guest: "data".to_owned(),
        directory: "/srv/\"a\\b\"".to_owned(),
        requests: Arc::default(),
        transport: Arc::default(),
        locks: Box::new(|| (3, 2)),
        process: ProcessFiles::open(None),
        table: None,
    }
}

/// Every line is a comment or a sample with a number, and every sample has a family before it.
#[test]
fn the_page_is_prometheus_text() {
    let page = page(&sources());
    let mut family = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().unwrap();
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next(), Some(family), "{line}");
            value.parse::<u64>().expect(line);
        }
    }
}

#[test]
fn every_opcode_and_the_process_are_on_it() {
    let page = page(&sources());
    for wanted in [
        "samepaged_requests_total{opcode=\"LOOKUP\"} 0",
        "samepaged_request_errors_total{opcode=\"COPY_FILE_RANGE_64\"} 0",
        "samepaged_requests_total{opcode=\"unknown\"} 0",
        "samepaged_connections_total 0",
        "samepaged_connected 0",
        "samepaged_locked_ranges 3",
        "samepaged_lock_waiters 2",
        r#"samepaged_share_info{guest="data",directory="/srv/\"a\\b\""} 1"#,
        "process_open_fds ",
        "process_threads ",
        "process_resident_memory_bytes ",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn without_a_table_nothing_can_be_wrong() {
    assert_eq!(health(&sources()), Ok(()));
}

#[test]
fn fields_of_proc_status() {
    let status = "Name:\tsamepaged\nVmRSS:\t    5120 kB\nThreads:\t7\n";
    assert_eq!(status_field(status, "VmRSS:"), Some(5120));
    assert_eq!(status_field(status, "Threads:"), Some(7));
    assert_eq!(status_field(status, "VmSwap:"), None);
}
