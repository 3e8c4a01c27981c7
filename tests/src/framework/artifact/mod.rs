//! What the rig needs and does not have: fetched once, kept in `target/rig`, used offline after
//! that.
//!
//! Everything fetched comes from Debian packages, through a private apt root that takes the
//! mirror and the keys from the machine's own configuration and touches nothing outside `target/`.

pub mod apt;
pub mod kernel;
pub mod libvirt;
pub mod module;
pub mod progress;
pub mod qemu;
pub mod sources;
pub mod store;
pub mod tools;

pub use kernel::Kernel;
pub use qemu::Qemu;

use anyhow::Result;

/// What the VM tests need beside: every kernel, test suites, sources to build.
///
/// # Errors
/// One of them cannot be had.
pub fn fetch_for_tests() -> Result<()> {
    for (series, _) in kernel::SERIES {
        Kernel::obtain(series)?;
    }
    tools::pjdfstest()?;
    tools::fsx()?;
    tools::dbench()?;
    tools::zlib_source()?;
    Ok(())
}

/// What an ordinary run needs: QEMU, the default kernel, busybox.
///
/// # Errors
/// One of them cannot be had.
pub fn fetch_defaults() -> Result<()> {
    Qemu::obtain()?;
    Kernel::obtain(kernel::DEFAULT)?;
    tools::busybox()?;
    Ok(())
}
