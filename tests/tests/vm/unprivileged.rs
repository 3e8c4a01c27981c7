//! Daemons of a user without rights, in the default sandbox: a user namespace.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use samepage_tests::framework::Lab;
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::lab::Builder;

use crate::{exercisers, pjdfstest};

/// Nobody else's: no such user need exist.
const USER: u32 = 4242;
/// The first of the ids that the user may give to guests, and how many there are.
const FIRST: u32 = 1_000_000;
const COUNT: u32 = 65_536;

/// The guest's root is the user, and there is nobody else: that takes no right and no program.
fn alone(lab: Builder) -> Builder {
    let map = format!(":0:{USER}:1:");
    lab.daemon(Program::Samepaged).daemon_user(USER).daemon_args([
        "--uid-map",
        &map,
        "--gid-map",
        &map,
    ])
}

#[test]
fn guests_and_the_host_share_what_a_user_without_rights_serves() -> Result<()> {
    let mut lab = alone(Lab::builder().guests(2).coherent().cache("auto")).boot()?;
    lab[0].sh("mkdir /mnt/d && echo one > /mnt/d/file && chmod 600 /mnt/d/file")?.ok()?;
    assert_eq!(
        lab[1].sh("stat -c '%a %u %g' /mnt/d/file; cat /mnt/d/file")?.ok()?.text(),
        "600 0 0\none\n"
    );
    lab[1].sh("mv /mnt/d/file /mnt/d/moved; echo two >> /mnt/d/moved")?.ok()?;
    assert_eq!(lab[0].sh("ls /mnt/d; cat /mnt/d/moved")?.ok()?.text(), "moved\none\ntwo\n");
    let file = fs::metadata(lab.host("d/moved"))?;
    assert_eq!((file.uid(), file.gid()), (USER, USER));
    fs::write(lab.host("d/moved"), "host\n")?;
    let until = "until [ \"$(cat /mnt/d/moved)\" = host ]; do :; done";
    lab[0].sh(until)?.ok()?;
    ensure!(lab[0].sh("chown 5 /mnt/d/moved")?.status != 0, "there is nobody else");
    for number in 0..2 {
        let process = lab[number].daemon().process().pid();
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        for line in
            [format!("Uid:\t{USER}"), "CapEff:\t0000000000000000".into(), "Seccomp:\t2".into()]
        {
            ensure!(status.contains(&line), "{line}?\n{status}");
        }
    }
    lab.power_off()
}

#[test]
#[ignore = "long"]
fn fsx_and_dbench_on_what_a_user_without_rights_serves() -> Result<()> {
    exercisers::fsx(alone(Lab::builder().coherent()), true)?;
    exercisers::fsx(alone(Lab::builder().cache("never")), false)?;
    exercisers::dbench(alone(Lab::builder().coherent()), 10)
}

/// The guest's root is the user; other users in the guest are ids that `newuidmap` and `newgidmap` give to the user.
#[test]
#[ignore = "long"]
fn pjdfstest_on_what_a_user_without_rights_serves() -> Result<()> {
    let scratch = may_give_ids_to_guests()?;
    let (own, others) = (format!(":0:{USER}:1:"), format!(":1:{FIRST}:{COUNT}:"));
    let path = std::env::var("PATH").unwrap_or_default();
    let lab = Lab::builder()
        .coherent()
        .daemon(Program::Samepaged)
        .daemon_user(USER)
        .daemon_args(["--uid-map", &own, "--uid-map", &others])
        .daemon_args(["--gid-map", &own, "--gid-map", &others])
        .daemon_env("PATH", format!("{}:{path}", tools::uidmap()?.display()));
    // A user makes no devices. Some of the suite's character devices are none: they have number 0.
    let devices = ["::block", "mknod::changed_times_success::char", "mknod::device_files::char"];
    let result = pjdfstest::share_gives_it_but_for(&devices, "6.12", lab);
    drop(scratch);
    result
}

/// Lets the user give ids to guests, for this thread and its children only.
fn may_give_ids_to_guests() -> Result<Scratch> {
    unshare(CloneFlags::CLONE_NEWNS).context("mounts of one's own need root")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    let scratch = Scratch::new()?;
    for name in ["subuid", "subgid"] {
        let file = scratch.path().join(name);
        fs::write(&file, format!("{USER}:{FIRST}:{COUNT}\n"))?;
        let at = Path::new("/etc").join(name);
        ensure!(at.exists(), "{} is not there: install the package passwd", at.display());
        mount(Some(&file), &at, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    // newuidmap asks who the user is.
    let passwd = fs::read_to_string("/etc/passwd")?;
    let line = format!("samepage-test:x:{USER}:{USER}::/:/usr/sbin/nologin\n");
    let file = scratch.path().join("passwd");
    fs::write(&file, passwd + &line)?;
    mount(Some(&file), "/etc/passwd", None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(scratch)
}
