//! A SQLite database that two guests and the host write to, all of them through `mmap`.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{self, Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::lab::Root;
use samepage_tests::framework::{Command, Lab};

/// Rows of each writer.
const ROWS: usize = 150;

/// Makes the database, and keeps it open until standard input ends.
const KEEP: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma journal_mode=" + sys.argv[2])
db.execute("create table t (who, number, total)")
print("ready", flush=True)
sys.stdin.read()
"#;

/// Inserts rows of its own, one transaction each, into what the others write to as well.
const INSERT: &str = r#"
import sqlite3, sys
path, journal, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
db = sqlite3.connect(path, timeout=120, isolation_level=None)
db.execute("pragma journal_mode=" + journal)
db.execute("pragma synchronous=normal")
db.execute("pragma mmap_size=67108864")
for number in range(count):
    db.execute("begin immediate")
    total = db.execute("select count(*) from t").fetchone()[0]
    db.execute("insert into t values (?, ?, ?)", (who, number, total))
    db.execute("commit")
"#;

/// Each row says how many there were before it: a writer that saw less than all of them shows.
const CHECK: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=120)
assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
totals = [row[0] for row in db.execute("select total from t order by total")]
assert totals == list(range(len(totals))), totals
print(len(totals))
"#;

fn python(script: &str, arguments: &[&str]) -> process::Command {
    let mut command = process::Command::new("python3");
    command.arg("-c").arg(script).args(arguments);
    command
}

fn output(mut command: process::Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Somebody on the host keeps the database open: what belongs to it is there, and of whole pages, when the guests meet it.
fn keep(path: &str, journal: &str) -> Result<Child> {
    let mut keeper = python(KEEP, &[path, journal]);
    let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().context("a pipe")?).read_line(&mut line)?;
    ensure!(line.trim() == "ready", "the database cannot be made");
    Ok(keeper)
}

fn is_of_whole_pages(path: &Path) -> Result<bool> {
    let len = fs::metadata(path)?.len();
    Ok(len > 0 && len.is_multiple_of(4096))
}

/// `mapped`: what the guests shall map.
fn three_writers(kernel: &str, mount: &str, journal: &str, mapped: &[&str]) -> Result<()> {
    let lab = Lab::builder().dax("16M", mount).kernel(kernel).root(Root::Host);
    let lab =
        lab.coherent().guests(2).memory(1024).command_limit(Duration::from_mins(10)).boot()?;
    let path = lab.host("db");
    let host = path.to_str().context("a path")?;
    let mut keeper = keep(host, journal)?;
    for name in mapped {
        ensure!(is_of_whole_pages(&lab.host(name))?, "{name} cannot be mapped");
        let (_, requests) = lab[0].requests_of(&format!("head -c 4096 /mnt/{name} > /dev/null"))?;
        ensure!(requests.requests("SETUPMAPPING") > 0, "{name} is not mapped: {requests:?}");
    }
    let rows = ROWS.to_string();
    let insert = |guest: usize| {
        let arguments = ["-c", INSERT, "/mnt/db", journal, &guest.to_string(), &rows];
        let path: OsString = std::env::var_os("PATH").unwrap_or_default();
        lab[guest].start(Command::new("python3").args(arguments).env("PATH", path))
    };
    let running = [insert(0)?, insert(1)?];
    output(python(INSERT, &[host, journal, "2", &rows]))?;
    for running in running {
        running.wait(Instant::now() + Duration::from_mins(8))?.ok()?;
    }
    let rows = output(python(CHECK, &[host]))?;
    drop(keeper.stdin.take());
    keeper.wait()?;
    ensure!(rows.trim() == (3 * ROWS).to_string(), "{rows} rows");
    lab.power_off()
}

#[test]
#[ignore = "long"]
fn a_database_with_a_mapped_wal_index_is_written_by_two_guests_and_the_host() -> Result<()> {
    three_writers("6.12", "inode", "wal", &["db", "db-shm"])
}

#[test]
#[ignore = "long"]
fn a_database_with_a_mapped_wal_index_on_linux_7_2() -> Result<()> {
    three_writers("7.2", "inode", "wal", &["db", "db-shm"])
}

/// Linux 6.1 maps all files or none. A log is no multiple of a page, so there is none.
#[test]
#[ignore = "long"]
fn a_database_without_a_log_on_linux_6_1() -> Result<()> {
    three_writers("6.1", "always", "memory", &["db"])
}
