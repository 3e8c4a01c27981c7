//! Debian's libvirt, with `samepaged` where a domain names its virtiofsd: libvirt's own command lines, started, used and
//! ended as its users do.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command as Host;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use samepage_tests::framework::artifact::{Kernel, kernel, libvirt, tools};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::guest::{Command, Session, initramfs};
use samepage_tests::framework::process::Process;
use samepage_tests::framework::{cargo, paths};

const LIMIT: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(100);

#[test]
#[ignore = "long"]
fn libvirt_starts_the_daemon_as_it_is() -> Result<()> {
    let domain = Domain::start("<binary path='/usr/libexec/samepaged'/>")?;
    domain.share_is_shared()?;
    let daemon = domain.switch_off()?;
    ensure!(daemon.contains("--shared-dir"), "{daemon}");
    Ok(())
}

#[test]
#[ignore = "long"]
fn libvirt_starts_the_daemon_with_everything_that_it_can_pass() -> Result<()> {
    let domain = Domain::start(
        "<binary path='/usr/libexec/samepaged' xattr='on'>
           <cache mode='always'/>
           <sandbox mode='chroot'/>
           <thread_pool size='4'/>
           <openfiles max='4096'/>
         </binary>",
    )?;
    domain.share_is_shared()?;
    let daemon = domain.switch_off()?;
    for option in ["--cache", "--xattr", "--sandbox", "--thread-pool-size", "--rlimit-nofile"] {
        ensure!(daemon.contains(option), "{option} is missing in {daemon}");
    }
    Ok(())
}

/// A domain that runs. libvirtd and all that it has started end with the value.
struct Domain {
    scratch: Scratch,
    libvirt: Process,
    log: PathBuf,
    guest: Session,
}

impl Domain {
    fn start(filesystem: &str) -> Result<Self> {
        let scratch = Scratch::new()?;
        let place = scratch.path();
        let share = share(place);
        fs::create_dir(&share)?;
        fs::set_permissions(&share, Permissions::from_mode(0o755))?;
        let (kernel, busybox) = (Kernel::obtain(kernel::DEFAULT)?, tools::busybox()?);
        let contents = initramfs::Contents {
            kernel: &kernel,
            agent: &cargo::guest_agent()?,
            busybox: &busybox,
            driver: None,
            programs: &[],
        };
        initramfs::write(&contents, &place.join("initramfs"))?;
        let domain = include_str!("domain.xml")
            .replace("FILESYSTEM", filesystem)
            .replace("KERNEL", &text(&kernel.image)?)
            .replace("SCRATCH", &text(place)?);
        fs::write(place.join("domain.xml"), domain)?;
        fs::write(place.join("inside.sh"), include_str!("inside.sh"))?;
        fs::write(place.join("outside.sh"), include_str!("outside.sh"))?;
        let log = place.join("libvirt.log");
        let mut command = Host::new("unshare");
        command.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh"]);
        command.arg(place.join("outside.sh")).arg(place).arg(libvirt::obtain()?);
        command.arg(paths::rig()).arg(busybox).arg(cargo::samepaged()?);
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let mut libvirt = Process::spawn("libvirt", &mut command)?;
        let guest = connect(&mut libvirt, place, &log)?;
        Ok(Self { scratch, libvirt, log, guest })
    }

    /// Files go both ways.
    fn share_is_shared(&self) -> Result<()> {
        let share = share(self.scratch.path());
        fs::write(share.join("host"), "from the host")?;
        self.sh("mkdir -p /mnt && mount -t virtiofs share /mnt")?;
        ensure!(self.sh("cat /mnt/host")? == "from the host");
        self.sh("echo from the guest > /mnt/guest && chown 12:34 /mnt/guest && sync")?;
        ensure!(fs::read_to_string(share.join("guest"))? == "from the guest\n");
        Ok(())
    }

    /// The daemon's command line, after libvirt has ended it with the domain.
    fn switch_off(mut self) -> Result<String> {
        self.guest.power_off()?;
        let ended = self.libvirt.wait_until(Instant::now() + LIMIT)?;
        let log = fs::read_to_string(&self.log)?;
        let status = ended.with_context(|| format!("libvirt goes on:\n{log}"))?;
        ensure!(status.success(), "{log}");
        Ok(fs::read_to_string(self.scratch.path().join("daemon"))?)
    }

    fn sh(&self, script: &str) -> Result<String> {
        let output = self.guest.start(Command::sh(script))?.wait(Instant::now() + LIMIT)?;
        Ok(output.ok()?.text())
    }
}

/// A comma in its name has to get through libvirt's and the daemon's command lines.
fn share(scratch: &Path) -> PathBuf {
    scratch.join("share, so called")
}

/// The guest's agent, when it is up.
fn connect(libvirt: &mut Process, scratch: &Path, log: &Path) -> Result<Session> {
    let deadline = Instant::now() + LIMIT;
    let connection = loop {
        if let Ok(connection) = UnixStream::connect(scratch.join("agent.sock")) {
            break connection;
        }
        if libvirt.status()?.is_some() || Instant::now() > deadline {
            bail!("libvirt starts no domain:\n{}", fs::read_to_string(log)?);
        }
        thread::sleep(POLL);
    };
    let guest = Session::new(connection)?;
    let problem = || format!("the guest:\n{}", fs::read_to_string(log).unwrap_or_default());
    guest.wait_for_hello(deadline).with_context(problem)?;
    Ok(guest)
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path that is no UTF-8")?.to_owned())
}
