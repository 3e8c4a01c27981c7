//! What a VMM bears: QEMU aborts at 512 memory regions, in whichever windows they are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::daemon::{Daemon, Program, Spec};
use samepage_tests::framework::vm::Share;
use samepage_tests::framework::{Command, paths};

use super::lab;

const TAG: &str = "second";
/// So many steps are less than one window may have, and more than two.
const STEPS: u32 = 300;
const PATIENCE: Duration = Duration::from_mins(10);

/// A file that grows by a page while it is mapped costs the VMM a mapping at each step. Says how many it took.
const GROW: &str = "mapper hold $1/files $1/ready $1/go &
    until test -e $1/ready; do usleep 20000; done
    n=1
    while test $n -lt $2 && truncate -s $(((n + 1) * 4096)) $1/files/file 2> /dev/null; do n=$((n + 1)); done
    : > $1/go; wait; echo $n";

fn make_file(share: &Path) -> Result<()> {
    fs::create_dir(share.join("files"))?;
    Ok(fs::write(share.join("files/file"), vec![0; 4096])?)
}

#[test]
#[ignore = "long"]
fn two_windows_together_are_not_more_than_a_vmm_bears() -> Result<()> {
    let (share, sockets) = (Scratch::new_in(&paths::rig().join("shares"))?, Scratch::in_memory()?);
    let spec = Spec {
        program: Program::Samepaged,
        share: share.path().into(),
        tag: TAG.into(),
        cache: None,
        arguments: ["--dax-window", "16M", "--num-request-queues", "1"].map(Into::into).into(),
        table: None,
        environment: Vec::new(),
        user: None,
        echo: false,
    };
    let log = sockets.path().join("log");
    let daemon = Daemon::start(TAG, &spec, &sockets.path().join("socket"), &log)?;
    let device =
        Share { tag: TAG.into(), socket: daemon.socket().into(), queues: 1, shared_memory: true };
    let lab = lab("inode")?.attach(device).command_limit(PATIENCE).boot()?;
    lab[0].sh(&format!("mkdir /other && mount -t virtiofs {TAG} /other -o dax=inode"))?.ok()?;
    make_file(lab.share())?;
    make_file(share.path())?;
    let grow = |mount: &str| -> Result<u32> {
        let steps = STEPS.to_string();
        let output = lab[0].run(Command::new("sh").args(["-c", GROW, "sh", mount, &steps]))?;
        Ok(output.ok()?.text().trim().parse()?)
    };
    let (first, second) = (grow("/mnt")?, grow("/other")?);
    ensure!(first == STEPS, "alone, a window took {first} steps");
    ensure!((100..STEPS).contains(&second), "the second one took {second} steps");
    // Hundreds of mappings go one by one: more than switching off has time for on a busy machine.
    lab[0].sh("umount /other && umount /mnt")?.ok()?;
    lab.power_off()
}
