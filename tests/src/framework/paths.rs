//! Where things are. Nothing outside the workspace's `target/` and the system's temporary
//! directory is ever written.

use std::env;
use std::path::PathBuf;

/// The workspace's root.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .filter(|directory| directory.join("../tests/src/framework").is_dir())
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    tests.parent().map_or(tests.clone(), PathBuf::from)
}

/// Where fetched and built artifacts, logs and scratch directories live: `target/rig`, or what
/// `SAMEPAGE_RIG` names. It is shared by every cargo target directory of the workspace.
#[must_use]
pub fn rig() -> PathBuf {
    env::var_os("SAMEPAGE_RIG").map_or_else(|| workspace().join("target/rig"), PathBuf::from)
}

/// Where logs go.
#[must_use]
pub fn logs() -> PathBuf {
    rig().join("logs")
}
