//! The real program on real tables.

use std::path::Path;
use std::process::{Command, Output};

use coherence::{Engine, Identity, Options};

fn samepage(arguments: &[&str], path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_samepage")).args(arguments).arg(path).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_table_is_shown_for_people_and_for_programs_and_nothing_is_written() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    let engine = Engine::attach(Options::new(&path)).unwrap();
    let slots = engine.inode_slots(engine.inode(&Identity::Inode { dev: 1, ino: 2 })).unwrap();
    let mut worker = engine.worker().unwrap();
    let _change = worker.announce([slots.attr].into()).unwrap();
    let files =
        || ["table", "table.host"].map(|f| std::fs::read(directory.path().join(f)).unwrap());
    let before = files();

    let shown = samepage(&["table", "--interval", "0"], &path);
    let json = samepage(&["table", "--json", "--interval", "0"], &path);
    assert!(shown.status.success() && json.status.success());
    let shown = text(&shown.stdout);
    assert!(
        shown.contains("1,048,576 slots, 8.0 MiB; 1 touched") && shown.contains("1 busy"),
        "{shown}"
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["slots"], 1 << 20);
    assert_eq!(json["daemons"][0]["pid"], std::process::id());
    assert_eq!(json["daemons"][0]["in_progress"], 1);
    assert_eq!(json["changes_per_second"], serde_json::Value::Null);
    assert!(files() == before, "looking has changed something");
}

#[test]
fn watching_goes_on_until_nobody_reads() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    let _engine = Engine::attach(Options::new(&path)).unwrap();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_samepage"))
        .args(["table", "--watch", "--json", "--interval", "0.1"])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let looks: Vec<serde_json::Value> =
        lines.take(3).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(looks.iter().all(|look| look["changes_per_second"] == 0.0), "{looks:?}");
    assert!(watching.wait().unwrap().success());
}

#[test]
fn what_is_no_table_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let missing = samepage(&["table"], &path);
    std::fs::write(&path, "hello").unwrap();
    let foreign = samepage(&["table"], &path);
    for (output, why) in [(missing, "does not exist"), (foreign, "no table")] {
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(why) && said.contains("file") && said.lines().count() == 1, "{said}");
    }
    assert_eq!(samepage(&["--no-such-option"], &path).status.code(), Some(2));
    assert_eq!(samepage(&["table", "--interval", "-1"], &path).status.code(), Some(2));
}

#[test]
fn without_the_host_file_the_table_is_shown_all_the_same() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    drop(Engine::attach(Options::new(&path)).unwrap());
    std::fs::remove_file(coherence::host_path(&path)).unwrap();
    let shown = samepage(&["table", "--interval", "0"], &path);
    assert!(shown.status.success());
    assert!(text(&shown.stdout).contains("daemons  unknown: "), "{}", text(&shown.stdout));
}
