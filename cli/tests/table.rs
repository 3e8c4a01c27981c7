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
fn a_host_file_that_is_none_says_so_and_blocks_nobody() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    let host = coherence::host_path(&path);
    drop(Engine::attach(Options::new(&path)).unwrap());
    let shown = || {
        let shown = samepage(&["table", "--interval", "0"], &path);
        assert!(shown.status.success());
        text(&shown.stdout)
    };
    std::fs::File::options().write(true).open(&host).unwrap().set_len(4096).unwrap();
    assert!(shown().contains("has 4096 bytes, but must have "), "{}", shown());
    std::fs::remove_file(&host).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &host, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    assert!(shown().contains("is no ordinary file"), "{}", shown());
}

/// In a terminal each look is drawn over the last, and every line is cleared to its end.
#[test]
fn watching_draws_in_place() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read;
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    let _engine = Engine::attach(Options::new(&path)).unwrap();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let other_end = std::fs::File::options().read(true).write(true).open(name).unwrap();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_samepage"))
        .args(["table", "--watch", "--interval", "0.1"])
        .arg(&path)
        .stdout(other_end)
        .spawn()
        .unwrap();
    let (mut seen, mut terminal) = (Vec::new(), std::fs::File::from(terminal));
    let looks = |seen: &[u8]| String::from_utf8_lossy(seen).matches("\x1b[J").count();
    while looks(&seen) < 2 {
        let mut buffer = [0; 4096];
        let read = terminal.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..read]);
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
    let seen = String::from_utf8_lossy(&seen).replace('\r', "");
    let (first, rest) = seen.split_once("\x1b[J").unwrap();
    assert!(first.starts_with("\x1b[Htable ") && rest.starts_with("\x1b[Htable "), "{seen:?}");
    assert!(first.lines().all(|line| line.is_empty() || line.ends_with("\x1b[K")), "{first:?}");
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
