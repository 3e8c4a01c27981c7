//! Process 1: from the bare initramfs to a running agent, and down again.

use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_move, unmount};
use rustix::process::{WaitOptions, chroot, wait};
use rustix::system::{RebootCommand, finit_module, reboot};

/// Bring the guest up, wait for the agent's end, and switch off. Never returns when it runs as
/// process 1.
pub(crate) fn run() {
    if let Err(error) = bring_up().and_then(|()| supervise()) {
        eprintln!("samepage-guest: {error:#}");
    }
    unmount_shares();
    rustix::fs::sync();
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        eprintln!("samepage-guest: cannot switch off: {error}");
    }
}

fn bring_up() -> Result<()> {
    mount_at("proc", "/proc", "proc", c"")?;
    mount_at("sysfs", "/sys", "sysfs", c"")?;
    load_modules(Path::new("/modules"), c"")?;
    // No network in here, but programs may talk to themselves.
    let _ = Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status();
    let _ = mount_at("debugfs", "/sys/kernel/debug", "debugfs", c"");
    let command_line = fs::read_to_string("/proc/cmdline")?;
    let words = || command_line.split_ascii_whitespace();
    let says = |word| words().any(|other| other == word);
    let coherent = says("samepage.coherent");
    let mount_helper = if coherent { fs::read("/samepage/mount.samepage")? } else { Vec::new() };
    if coherent {
        let fault = words().find_map(|word| word.strip_prefix("samepage.fault="));
        let parameters = fault.map_or(String::new(), |name| format!("fault={name}"));
        load_modules(Path::new("/samepage/modules"), &CString::new(parameters)?)?;
    }
    if says("samepage.root=host") {
        enter_host_root()?;
    } else {
        mount_at("tmpfs", "/tmp", "tmpfs", c"mode=1777")?;
        mount_at("tmpfs", "/run", "tmpfs", c"mode=755")?;
        install_busybox()?;
    }
    if coherent {
        install_mount_helper(&mount_helper)?;
    }
    mount_devices()?;
    fs::create_dir_all("/mnt").context("cannot make /mnt")?;
    Ok(())
}

fn mount_at(source: &str, target: &str, kind: &str, options: &CStr) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot make {target}"))?;
    mount(source, target, kind, MountFlags::empty(), Some(options))
        .with_context(|| format!("cannot mount {kind} at {target} ({options:?})"))
}

fn mount_devices() -> Result<()> {
    mount_at("devtmpfs", "/dev", "devtmpfs", c"mode=755")?;
    mount_at("devpts", "/dev/pts", "devpts", c"")?;
    mount_at("tmpfs", "/dev/shm", "tmpfs", c"mode=1777")?;
    for (link, target) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        std::os::unix::fs::symlink(target, Path::new("/dev").join(link))?;
    }
    Ok(())
}

/// Load every file of `directory`, in the order of the names.
fn load_modules(directory: &Path, parameters: &CStr) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    for file in files {
        let module = fs::File::open(&file)?;
        match finit_module(&module, parameters, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot load {}", file.display()));
            }
        }
    }
    Ok(())
}

/// Every applet under its own name, so that scripts find them.
fn install_busybox() -> Result<()> {
    let status = Command::new("/bin/busybox").args(["--install", "-s", "/bin"]).status()?;
    anyhow::ensure!(status.success(), "busybox cannot install its applets: {status}");
    Ok(())
}

/// Where mount(8) and scripts find it, whatever the root.
fn install_mount_helper(program: &[u8]) -> Result<()> {
    let place = Path::new("/sbin/mount.samepage");
    fs::create_dir_all("/sbin")?;
    fs::write(place, program)
        .and_then(|()| fs::set_permissions(place, Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot install {}", place.display()))
}

/// Change to the host's root file system, read-only below a scratch layer in memory.
fn enter_host_root() -> Result<()> {
    mount_at("root", "/lower", "virtiofs", c"")?;
    mount_at("tmpfs", "/scratch", "tmpfs", c"mode=755")?;
    fs::create_dir_all("/scratch/upper")?;
    fs::create_dir_all("/scratch/work")?;
    let layers = c"lowerdir=/lower,upperdir=/scratch/upper,workdir=/scratch/work";
    mount_at("overlay", "/newroot", "overlay", layers)?;
    for directory in ["proc", "sys"] {
        let target = format!("/newroot/{directory}");
        fs::create_dir_all(&target)?;
        mount_move(format!("/{directory}"), target)?;
    }
    std::env::set_current_dir("/newroot")?;
    mount_move(".", "/").context("cannot move the new root into place")?;
    chroot(".").context("cannot enter the new root")?;
    std::env::set_current_dir("/")?;
    // /tmp is the host's, too: a checkout or a program to be tested may well lie there.
    for directory in ["/run", "/mnt"] {
        mount_at("tmpfs", directory, "tmpfs", c"mode=1777")?;
    }
    Ok(())
}

/// Start the agent and reap whatever ends, until the agent does.
fn supervise() -> Result<()> {
    // The path of our own file is gone after a change of root; the link still works.
    let agent = Command::new("/proc/self/exe")
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("TERM", "dumb")
        .spawn()
        .context("cannot start the agent")?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, _))) if pid.as_raw_nonzero().get() as u32 == agent.id() => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the agent"),
        }
    }
}

/// Let the daemons see an orderly end: last mounted, first unmounted.
fn unmount_shares() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    for line in mounts.lines().rev() {
        let mut words = line.split(' ').skip(1);
        if let (Some(target), Some("virtiofs" | "samepage")) = (words.next(), words.next()) {
            let _ = unmount(target, UnmountFlags::DETACH);
        }
    }
}
