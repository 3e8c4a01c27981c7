//! POSIX conformance: pjdfstest must give on the share what it gives on the host.

use std::collections::BTreeMap;
use std::fs;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::lab::{Builder, Root};
use samepage_tests::framework::{Command, Lab};

/// Both users are everywhere. Naps must be longer than the host's clock tick.
const CONFIGURATION: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.02
allow_remount = false
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

/// Fewer would mean that the suite did not really run.
const LEAST_PASSED: usize = 380;

/// The C library looks up the largest link count by the file system's type. It does not know
/// FUSE, so the suite skips this one in a guest, whatever the daemon does.
const NOT_IN_A_GUEST: &str = "link::link_count_max";

/// These use the contents of files that end inside a page: a copy of sleep(1), 2147483653 bytes, 13 bytes. That page cannot be
/// mapped, and a guest with `dax=always` has no other way to it: `EIO` (docs/dax.md).
const END_INSIDE_A_PAGE: [&str; 4] =
    ["open::etxtbsy", "truncate::etxtbsy", "open::interact_2gb", "unlink::open_file_not_freed"];

type Results = BTreeMap<String, String>;

#[test]
fn pjdfstest_with_cache_auto() -> Result<()> {
    share_gives_what_the_host_gives("6.12", Lab::builder().cache("auto"))
}

#[test]
fn pjdfstest_with_cache_never() -> Result<()> {
    share_gives_what_the_host_gives("6.12", Lab::builder().cache("never"))
}

#[test]
fn pjdfstest_in_a_coherent_guest() -> Result<()> {
    share_gives_what_the_host_gives("6.12", Lab::builder().coherent())
}

#[test]
#[ignore = "long"]
fn pjdfstest_in_a_coherent_guest_on_linux_6_1() -> Result<()> {
    share_gives_what_the_host_gives("6.1", Lab::builder().coherent())
}

#[test]
#[ignore = "long"]
fn pjdfstest_in_a_coherent_guest_on_linux_7_2() -> Result<()> {
    share_gives_what_the_host_gives("7.2", Lab::builder().coherent())
}

#[test]
#[ignore = "long"]
fn pjdfstest_on_linux_6_1() -> Result<()> {
    share_gives_what_the_host_gives("6.1", Lab::builder().cache("auto"))
}

#[test]
#[ignore = "long"]
fn pjdfstest_on_linux_7_2() -> Result<()> {
    share_gives_what_the_host_gives("7.2", Lab::builder().cache("auto"))
}

#[test]
#[ignore = "long"]
fn pjdfstest_with_a_dax_window() -> Result<()> {
    share_gives_what_the_host_gives("6.12", Lab::builder().coherent().dax("64M", "inode"))
}

#[test]
#[ignore = "long"]
fn pjdfstest_with_a_dax_window_on_linux_7_2() -> Result<()> {
    share_gives_what_the_host_gives("7.2", Lab::builder().coherent().dax("64M", "inode"))
}

#[test]
#[ignore = "long"]
fn pjdfstest_with_a_dax_window_on_linux_6_1() -> Result<()> {
    share_gives_what_the_host_gives("6.1", Lab::builder().coherent().dax("64M", "inode"))
}

#[test]
#[ignore = "long"]
fn pjdfstest_with_every_file_mapped_on_linux_6_1() -> Result<()> {
    let lab = Lab::builder().coherent().dax("64M", "always");
    share_gives_it_but_for(&END_INSIDE_A_PAGE, "6.1", lab)
}

fn share_gives_what_the_host_gives(kernel: &str, lab: Builder) -> Result<()> {
    share_gives_it_but_for(&[], kernel, lab)
}

/// As on the host, but for tests whose names have one of these words in them.
pub(crate) fn share_gives_it_but_for(words: &[&str], kernel: &str, lab: Builder) -> Result<()> {
    let (expected, _) = on_host()?;
    let (results, report) = in_guest(kernel, lab)?;
    let passed = results.values().filter(|result| *result == "ok").count();
    let left_out = |name: &str| words.iter().any(|word| name.contains(word));
    let ran = passed + results.keys().filter(|name| left_out(name)).count();
    ensure!(ran >= LEAST_PASSED, "only {passed} tests passed:\n{report}");
    let worse: Vec<_> = expected
        .iter()
        .map(|(name, on_host)| (name, on_host, results.get(name).map_or("missing", String::as_str)))
        .filter(|(name, on_host, in_guest)| {
            in_guest != on_host && *in_guest != "ok" && *name != NOT_IN_A_GUEST
        })
        .filter(|(name, _, _)| !left_out(name))
        .map(|(name, on_host, in_guest)| format!("{name}: {on_host} on the host, here {in_guest}"))
        .collect();
    ensure!(worse.is_empty(), "{}\n\n{report}", worse.join("\n"));
    println!("{passed} passed, none worse than on the host");
    Ok(())
}

fn on_host() -> Result<(Results, String)> {
    // A short path: the suite makes sockets by absolute names, of which 107 bytes count.
    let directory = Scratch::new()?;
    let configuration = directory.path().join("pjdfstest.toml");
    fs::write(&configuration, CONFIGURATION)?;
    let output = process::Command::new("sh")
        .args(["-c", "umask 022; cd \"$1\" && exec \"$0\" -c \"$2\" -p \"$1\""])
        .arg(tools::pjdfstest()?)
        .args([directory.path(), &configuration])
        .output()
        .context("cannot run pjdfstest on the host")?;
    Ok(parse(&output.stdout))
}

fn in_guest(kernel: &str, lab: Builder) -> Result<(Results, String)> {
    let lab = lab
        .kernel(kernel)
        // The suite copies `sleep` under another name, which busybox would not understand.
        .root(Root::Host)
        .command_limit(Duration::from_mins(10))
        .boot()?;
    lab[0].run(Command::sh("cat > /pjdfstest.toml").stdin(CONFIGURATION))?.ok()?;
    let script = "umask 022; exec \"$SUITE\" -c /pjdfstest.toml -p /mnt";
    let command = Command::sh(script).env("SUITE", tools::pjdfstest()?).directory("/mnt");
    let output = lab[0].run(command)?;
    Ok(parse(&output.stdout))
}

/// A line is a test's name, blanks, and `ok`, `FAILED` or `skipped`.
fn parse(stdout: &[u8]) -> (Results, String) {
    let report = String::from_utf8_lossy(stdout).into_owned();
    let results = report.lines().filter_map(|line| {
        let (name, result) = line.split_once(' ')?;
        let result = result.trim();
        let known = ["ok", "FAILED", "skipped"].contains(&result);
        (known && name.contains("::")).then(|| (name.to_owned(), result.to_owned()))
    });
    (results.collect(), report)
}
