//! Runs the daemon and stands in for a VMM and its guest.

pub(crate) mod daemon;
pub(crate) mod front_end;
pub(crate) mod guest;

use std::time::{Duration, Instant};

/// How long anything may take before a test fails instead of hanging. Nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
