//! The Debian packages, installed in a guest that has this machine's own root below a scratch layer.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::Lab;
use samepage_tests::framework::cargo::{self, find_in_path};
use samepage_tests::framework::lab::Root;

#[test]
#[ignore = "long"]
fn the_packages_can_be_installed_used_and_removed() -> Result<()> {
    find_in_path("dpkg-deb").context("this test needs a Debian system")?;
    let directory = tempfile::tempdir()?;
    let mut build = cargo::command();
    build.args(["run", "--quiet", "--package", "xtask", "--", "deb", "--output"]);
    ensure!(build.arg(directory.path()).status()?.success(), "the packages cannot be built");
    let lab = Lab::builder().root(Root::Host).memory(1024);
    let lab = lab.command_limit(Duration::from_mins(5)).boot()?;
    for entry in fs::read_dir(directory.path())? {
        let path = entry?.path();
        fs::copy(&path, lab.host(path.file_name().and_then(|n| n.to_str()).context("a name")?))?;
    }
    // DKMS itself is not on this machine, and nobody fetches it here. Triggers would index the manual, for minutes.
    let guest = &lab[0];
    guest
        .sh("dpkg --force-depends --no-triggers -i /mnt/samepaged_*.deb /mnt/samepage-dkms_*.deb")?
        .ok()?;
    let daemon = guest.sh("/usr/libexec/samepaged --version && samepage --version")?.ok()?.text();
    ensure!(daemon.lines().count() == 2 && daemon.contains("samepaged "), "{daemon}");
    let help = guest.sh("mount.samepage --help")?.ok()?.text();
    ensure!(help.contains("--release"), "{help}");
    let listed = guest.sh("dpkg -L samepaged samepage-dkms")?.ok()?.text();
    for wanted in [
        "/usr/lib/systemd/system/samepaged@.socket",
        "/usr/share/man/man8/samepaged.8",
        "/usr/share/man/man1/samepage-top.1",
        "/usr/share/man/man8/mount.samepage.8",
        "/usr/share/bash-completion/completions/samepaged",
        "/usr/share/qemu/vhost-user/50-samepaged.json",
    ] {
        ensure!(listed.lines().any(|line| line == wanted), "{wanted} is missing in\n{listed}");
    }
    guest.sh("cd /usr/src/samepage-*/ && sh -n build.sh && ls linux samepage_table.h")?.ok()?;
    // The daemon that was installed serves, and says that it is well.
    let serve = "mkdir -p /tmp/share && /usr/libexec/samepaged --version-table off --sandbox none \
                 --shared-dir /tmp/share --socket-path /tmp/vm.sock --stats-socket /tmp/vm.stats \
                 > /tmp/log 2>&1 & \
                 while [ ! -S /tmp/vm.stats ]; do sleep 0.1; done; \
                 samepage top --once --interval 0.2 /tmp/vm.stats; kill $!; wait $!; cat /tmp/log >&2";
    let top = guest.sh(serve)?.ok()?.text();
    ensure!(top.lines().nth(1).is_some_and(|line| line.starts_with("vm ")), "{top}");
    guest.sh("dpkg --force-depends --no-triggers -r samepaged samepage-dkms")?.ok()?;
    guest.sh("[ ! -e /usr/libexec/samepaged ] && [ ! -e /usr/sbin/mount.samepage ]")?.ok()?;
    lab.power_off()
}
