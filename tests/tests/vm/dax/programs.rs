//! Programs and shared libraries that are run from the share.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::Guest;
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::daemon::Counters;
use samepage_tests::framework::lab::Root;

use super::lab;

const PAGE: usize = 4096;

/// A copy of a program or library. (busybox knows by its name that its first argument is a program.) What follows its end changes neither.
fn install(from: &Path, to: &Path, mode: u32, whole_pages: bool) -> Result<()> {
    let mut bytes = fs::read(from)?;
    bytes.resize(bytes.len().next_multiple_of(PAGE) + usize::from(!whole_pages), 0);
    fs::write(to, bytes)?;
    Ok(File::open(to)?.set_permissions(Permissions::from_mode(mode))?)
}

/// Runs a shell from the share, which runs another program from there.
fn runs(guest: &Guest, program: &str) -> Result<Counters> {
    let script = format!("/mnt/{program} sh -c '/mnt/{program} echo 1 2 | /mnt/{program} wc -w'");
    let (output, requests) = guest.requests_of(&script)?;
    ensure!(output.text().trim() == "2", "{output:?}");
    Ok(requests)
}

/// By default programs are read as without DAX, also while the host runs the same.
#[test]
fn programs_run_from_a_share_with_a_window() -> Result<()> {
    let lab = lab("inode")?.boot()?;
    let busybox = tools::busybox()?;
    for (name, whole_pages) in [("busybox-whole", true), ("busybox-odd", false)] {
        let path = lab.host(name);
        install(&busybox, &path, 0o755, whole_pages)?;
        let host = process::Command::new(&path).arg("cat").stdin(Stdio::piped()).spawn()?;
        let requests = runs(&lab[0], name)?;
        ensure!(requests.requests("SETUPMAPPING") == 0, "{name}: {requests}");
        let again = process::Command::new(&path).args(["echo", "yes"]).output()?;
        ensure!(again.stdout == b"yes\n", "the host cannot run it any more: {again:?}");
        // With its standard input it ends.
        ensure!(host.wait_with_output()?.status.success());
    }
    lab.power_off()
}

/// Where everything is mapped, programs are, too; one whose last page is not whole is refused, as reading it is.
fn everything_mapped(kernel: &str, mount: &str) -> Result<()> {
    let lab = lab(mount)?.kernel(kernel).daemon_args(["--dax", "always"]).boot()?;
    let busybox = tools::busybox()?;
    install(&busybox, &lab.host("busybox-whole"), 0o755, true)?;
    let requests = runs(&lab[0], "busybox-whole")?;
    ensure!(requests.requests("SETUPMAPPING") > 0, "{requests}");
    ensure!(requests.requests("READ") == 0, "{requests}");
    install(&busybox, &lab.host("busybox-odd"), 0o755, false)?;
    ensure!(lab[0].sh("/mnt/busybox-odd echo yes")?.status != 0, "its last page has not been read");
    runs(&lab[0], "busybox-whole")?;
    lab.power_off()
}

#[test]
fn a_program_is_run_from_mapped_pages() -> Result<()> {
    everything_mapped("6.12", "inode")
}

#[test]
#[ignore = "long"]
fn a_program_is_run_from_mapped_pages_on_linux_6_1() -> Result<()> {
    everything_mapped("6.1", "always")
}

#[test]
#[ignore = "long"]
fn a_program_is_run_from_mapped_pages_on_linux_7_2() -> Result<()> {
    everything_mapped("7.2", "inode")
}

/// The C library that this very test runs with.
fn c_library() -> Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let found = paths.find(|path| path.ends_with("/libc.so.6"));
    found.map(PathBuf::from).context("this test needs glibc")
}

/// A library is a file that need not be executable, so it is mapped, and the host may use the same.
#[test]
#[ignore = "long"]
fn a_shared_library_is_used_from_mapped_pages() -> Result<()> {
    let lab = lab("inode")?.root(Root::Host).boot()?;
    install(&c_library()?, &lab.host("libc.so.6"), 0o644, true)?;
    let run = "LD_LIBRARY_PATH=/mnt exec sh -c 'grep /mnt/libc.so.6 /proc/self/maps'";
    let (output, requests) = lab[0].requests_of(run)?;
    ensure!(output.text().lines().any(|line| line.contains("r-xp")), "{output:?}");
    ensure!(requests.requests("SETUPMAPPING") > 0, "{requests}");
    ensure!(requests.requests("READ") == 0, "{requests}");
    let mut host = process::Command::new("cat");
    let host = host.arg("/proc/self/maps").env("LD_LIBRARY_PATH", lab.host("")).output()?;
    ensure!(
        String::from_utf8(host.stdout)?.contains(lab.host("libc.so.6").to_str().context("a path")?)
    );
    lab.power_off()
}
