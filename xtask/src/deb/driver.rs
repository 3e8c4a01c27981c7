//! The package for guests: the driver's sources, which DKMS builds for each kernel.

use std::fs;
use std::path::Path;

use anyhow::Result;
use samepage_tests::framework::paths;

use super::package::{Control, Package, version};
use crate::manual;

/// A kernel that has no sources here, or no DKMS yet, shall not keep the package from being installed.
const POSTINST: &str = r#"#!/bin/sh
set -e
if [ "$1" = configure ] && command -v dkms >/dev/null; then
	dkms remove samepage/@VERSION@ --all >/dev/null 2>&1 || :
	dkms install samepage/@VERSION@ ||
		echo "samepage-dkms: not built for this kernel; see dkms status, and install linux-source" >&2
fi
"#;

const PRERM: &str = r"#!/bin/sh
set -e
if command -v dkms >/dev/null; then
	dkms remove samepage/@VERSION@ --all || :
fi
";

pub(super) fn package(output: &Path) -> Result<Package> {
    let package = Package::new(
        output,
        Control {
            name: "samepage-dkms",
            architecture: "all",
            section: "kernel",
            depends: "dkms, patch, xz-utils".to_owned(),
            recommends: "linux-source, linux-headers-generic",
            summary: "virtio-fs driver for guests of samepaged, as source for DKMS",
            description: " The samepage driver keeps a guest's caches of a shared directory coherent with other guests\n \
                          and the host, by a version table in shared memory. With mount.samepage.",
        },
    )?;
    let guest = paths::workspace().join("guest");
    let sources = format!("/usr/src/samepage-{}", version());
    package.copy(&guest.join("build.sh"), &format!("{sources}/build.sh"), 0o755)?;
    package.copy_tree(&guest.join("linux"), &format!("{sources}/linux"))?;
    let header = paths::workspace().join("shm-layout/include/samepage_table.h");
    package.copy(&header, &format!("{sources}/samepage_table.h"), 0o644)?;
    let conf = fs::read_to_string(guest.join("dkms/dkms.conf"))?;
    package.write(with_version(&conf).as_bytes(), &format!("{sources}/dkms.conf"), 0o644)?;
    package.copy(&guest.join("mount.samepage"), "/usr/sbin/mount.samepage", 0o755)?;
    let page = paths::workspace().join(manual::MOUNT_PAGE);
    package.copy(&page, "/usr/share/man/man8/mount.samepage.8", 0o644)?;
    package.script("postinst", &with_version(POSTINST))?;
    package.script("prerm", &with_version(PRERM))?;
    Ok(package)
}

fn with_version(text: &str) -> String {
    text.replace("@VERSION@", version())
}
