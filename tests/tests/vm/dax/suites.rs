//! Programs that do a great deal, on files that are mapped.

use std::fs;
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::lab::Root;
use samepage_tests::framework::{Command, Lab};

use super::{lab, md5};

/// Files of whole pages only: fsx aligns what it reads and writes, but neither where it truncates to nor what it allocates.
const WHOLE_PAGES: &str = "flen = 1048576\n[opsize]\nmax = 65536\nalign = 4096\n[weights]\n\
                           close_open = 1.0\ninvalidate = 0.0\nmapread = 10.0\nmapwrite = 10.0\n\
                           read = 5.0\nwrite = 5.0\ntruncate = 0.0\nfsync = 0.5\nfdatasync = 0.5\n\
                           posix_fallocate = 0.0\npunch_hole = 1.0\nsendfile = 0.0\n\
                           copy_file_range = 1.0\n";

fn fsx_lab() -> Result<Lab> {
    let lab = lab("inode")?.daemon_args(["--dax", "always"]).coherent().guests(2);
    let lab = lab.program(tools::fsx()?, "/bin/fsx").command_limit(Duration::from_mins(10));
    let lab = lab.boot()?;
    let any_size = WHOLE_PAGES.replace("truncate = 0.0", "truncate = 5.0");
    for guest in 0..2 {
        lab[guest].run(Command::sh("cat > /pages.toml").stdin(WHOLE_PAGES))?.ok()?;
        lab[guest].run(Command::sh("cat > /any.toml").stdin(any_size.as_str()))?.ok()?;
    }
    Ok(lab)
}

fn fsx(config: &str, file: &str, operations: u32, seed: u32) -> String {
    format!("exec fsx -f /{config}.toml -N {operations} -S {seed} -P /tmp /mnt/{file}")
}

/// In two guests on files of their own at the same time, then by turns on one.
#[test]
#[ignore = "long"]
fn fsx_in_two_guests() -> Result<()> {
    let lab = fsx_lab()?;
    let deadline = Instant::now() + Duration::from_mins(10);
    // With this seed the fourth operation makes the file as long as it ever gets, and it stays mapped as far as that.
    // Within that it may end anywhere; beyond, inside a page, is EIO (docs/dax.md).
    let own = |guest: usize| {
        lab[guest].start(Command::sh(fsx("any", &format!("own{guest}"), 600, 20261)))
    };
    for running in [own(0)?, own(1)?] {
        let output = running.wait(deadline)?.ok()?;
        ensure!(output.text().contains("All operations completed"), "{}", output.text());
    }
    for turn in 0..4 {
        // Each begins by cutting to nothing what the other has mapped.
        let output = lab[turn % 2].sh(&fsx("pages", "both", 150, 20262 + turn as u32))?.ok()?;
        ensure!(output.text().contains("All operations completed"), "{}", output.text());
        // What one has left is what the other finds, and the host.
        let found = lab[(turn + 1) % 2].sh("md5sum < /mnt/both")?.ok()?.text();
        ensure!(found == md5(&lab.host("both"))?, "turn {turn}: {found}");
    }
    lab.power_off()
}

/// Inserts rows of its own, one transaction each, into what the others write to as well.
const INSERT: &str = r#"
import sqlite3, sys
path, who, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, timeout=120, isolation_level=None)
db.execute("pragma synchronous=normal")
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

#[test]
#[ignore = "long"]
fn a_database_with_a_mapped_wal_index_is_written_by_two_guests_and_the_host() -> Result<()> {
    const ROWS: usize = 150;
    let lab = Lab::builder().dax("16M", "inode").root(Root::Host).coherent().guests(2).memory(1024);
    let lab = lab.command_limit(Duration::from_mins(10)).boot()?;
    let python = |script: &str, arguments: &[&str]| -> Result<String> {
        let mut command = process::Command::new("python3");
        let output = command.arg("-c").arg(script).args(arguments).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let path = lab.host("db");
    let host = path.to_str().context("a path")?;
    // Somebody keeps it open: the index is there, and of whole pages, when the guests meet it.
    let keeper = "import sqlite3, sys, time\ndb = sqlite3.connect(sys.argv[1])\n\
                  db.execute('pragma journal_mode=wal')\n\
                  db.execute('create table t (who, number, total)')\ndb.commit()\n\
                  print('ready', flush=True)\nsys.stdin.read()";
    let mut keeper = process::Command::new("python3")
        .args(["-c", keeper, host])
        .stdin(process::Stdio::piped())
        .spawn()?;
    while !lab.host("db-shm").exists() || fs::metadata(lab.host("db-shm"))?.len() < 32768 {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(1));
    let insert = |guest: usize| {
        let command = Command::new("python3").args(["-c", INSERT, "/mnt/db", &guest.to_string()]);
        let rows = ROWS.to_string();
        lab[guest]
            .start(command.arg(rows).env("PATH", std::env::var_os("PATH").unwrap_or_default()))
    };
    let running = [insert(0)?, insert(1)?];
    python(INSERT, &[host, "2", &ROWS.to_string()])?;
    for running in running {
        running.wait(Instant::now() + Duration::from_mins(8))?.ok()?;
    }
    let rows = python(CHECK, &[host])?;
    drop(keeper.stdin.take());
    keeper.wait()?;
    ensure!(rows.trim() == (3 * ROWS).to_string(), "{rows} rows");
    lab.power_off()
}
