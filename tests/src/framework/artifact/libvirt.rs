//! libvirt and the QEMU that Debian ships with it: a small root of their own to run them in.

use std::path::PathBuf;

use anyhow::Result;

use super::apt::{Apt, Release};
use super::store;

/// The unpacked tree. Nothing in it is configured, and it has no shell.
///
/// # Errors
/// It cannot be fetched.
pub fn obtain() -> Result<PathBuf> {
    store::ensure("libvirt", |directory| {
        let packages =
            ["libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients", "qemu-system-x86"];
        Apt::open(Release::Trixie)?.unpack_with_dependencies("libvirt", &packages, false, directory)
    })
}
