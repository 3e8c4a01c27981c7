//! The package for hosts.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::{cargo, paths};

use super::package::{Control, Package};
use crate::manual;

pub(super) fn package(output: &Path) -> Result<Package> {
    let architecture = architecture()?;
    let daemon = cargo::packaged("samepaged", "samepaged")?;
    let tool = cargo::packaged("samepage-cli", "samepage")?;
    let libc = newest_libc(&daemon)?.max(newest_libc(&tool)?);
    let package = Package::new(
        output,
        Control {
            name: "samepaged",
            architecture,
            section: "admin",
            depends: format!("libc6 (>= 2.{libc}), libgcc-s1"),
            recommends: "",
            summary: "share a directory with virtual machines, coherently",
            description: " A vhost-user virtio-fs daemon with virtiofsd's options. Guests that have the samepage\n \
                          driver (samepage-dkms) see each other's changes and the host's at once, without asking.",
        },
    )?;
    package.copy(&daemon, "/usr/libexec/samepaged", 0o755)?;
    package.copy(&tool, "/usr/bin/samepage", 0o755)?;
    let workspace = paths::workspace();
    let manager = workspace.join("daemon/dist/50-samepaged.json");
    package.copy(&manager, "/usr/share/qemu/vhost-user/50-samepaged.json", 0o644)?;
    for unit in ["samepaged@.service", "samepaged@.socket"] {
        let file = workspace.join("dist/systemd").join(unit);
        package.copy(&file, &format!("/usr/lib/systemd/system/{unit}"), 0o644)?;
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let to = format!("/usr/share/doc/samepaged/{licence}");
        package.copy(&workspace.join(licence), &to, 0o644)?;
    }
    add_manual(&package, &output.join("manual"))?;
    Ok(package)
}

fn add_manual(package: &Package, scratch: &Path) -> Result<()> {
    manual::write(scratch)?;
    for entry in fs::read_dir(scratch.join("man"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a page has a name")?;
        let section = name.rsplit('.').next().unwrap_or_default();
        // The guest's own page is in the guest's package.
        if name != "mount.samepage.8" {
            package.copy(&path, &format!("/usr/share/man/man{section}/{name}"), 0o644)?;
        }
    }
    let completions = scratch.join("completions");
    for program in ["samepaged", "samepage"] {
        let places = [
            (format!("{program}.bash"), format!("bash-completion/completions/{program}")),
            (format!("_{program}"), format!("zsh/vendor-completions/_{program}")),
            (format!("{program}.fish"), format!("fish/vendor_completions.d/{program}.fish")),
        ];
        for (from, to) in places {
            package.copy(&completions.join(from), &format!("/usr/share/{to}"), 0o644)?;
        }
    }
    fs::remove_dir_all(scratch)?;
    Ok(())
}

/// Debian's name of this machine's kind.
fn architecture() -> Result<&'static str> {
    let output = Command::new("dpkg").arg("--print-architecture").output();
    let name = String::from_utf8(output.context("cannot run dpkg")?.stdout)?;
    let known = ["amd64", "arm64"].into_iter().find(|known| *known == name.trim());
    ensure!(known.is_some(), "packages are for amd64 and arm64, not for {}", name.trim());
    known.context("it was found")
}

/// The newest version 2.x of the C library that the program asks for: the names of its symbols' versions tell.
fn newest_libc(program: &Path) -> Result<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let bytes = fs::read(program)?;
    let versions = bytes.windows(NAME.len()).enumerate().filter(|(_, name)| *name == NAME);
    let minor = |at: usize| {
        let digits = bytes[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.take(4).fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    versions.map(|(at, _)| minor(at)).max().context("a program of Debian's uses the C library")
}
