use super::*;

/// One after the other: POSIX locks exclude processes, and these are threads of one.
#[test]
fn workers_agree_on_this_machines_own_file_system() {
    let root = tempfile::tempdir().unwrap();
    prepare(root.path(), &["a", "b"]).unwrap();
    let reports = ["a", "b"].map(|name| {
        let (coherent, stop) = (name == "a", root.path().join(STOP));
        let worker =
            Worker { root: root.path().into(), name: name.into(), seed: 7, percent: 50, coherent };
        thread::scope(|scope| {
            let running = scope.spawn(move || worker.work().unwrap());
            while !root.path().join("letters").join(name).exists() {
                thread::yield_now();
            }
            fs::write(&stop, "").unwrap();
            let report = running.join().unwrap();
            fs::remove_file(&stop).unwrap();
            report
        })
    });
    for number in 0..COUNTERS {
        let word = fs::read(root.path().join(format!("counters/{number}"))).unwrap();
        let counted: u64 = reports.iter().map(|report| report.counted[number]).sum();
        assert_eq!(u64::from_le_bytes(word.try_into().unwrap()), counted);
    }
    assert!(reports.iter().all(|report| report.rounds > 0 && report.letters > 0), "{reports:?}");
    assert_eq!(Report::parse(&reports[0].line()).unwrap(), reports[0]);
    assert!(Report::parse("1 2 3").is_err());
}

#[test]
fn a_file_that_somebody_else_changes_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    prepare(root.path(), &["a"]).unwrap();
    fs::write(root.path().join("many/7"), "other").unwrap();
    let name = "a".to_owned();
    let worker = Worker { root: root.path().into(), name, seed: 1, percent: 50, coherent: true };
    let error = format!("{:#}", worker.work().unwrap_err());
    assert!(error.contains("7 has 5 bytes"), "{error}");
}
