//! What real guests see. Every test boots VMs of its own; their logs are in
//! `target/rig/logs/<test>/`.
//!
//! `SAMEPAGE_DAEMON` names another daemon to run them against. Tests that are marked `long` run
//! with `cargo xtask test --long`.

mod coherent;
mod dax;
mod exercisers;
mod histories;
mod host_changes;
mod hostile;
mod kernels;
mod libvirt;
mod locks;
mod migration;
mod packages;
mod pjdfstest;
mod power_cycles;
mod requests;
mod sharing;
mod soak;
mod unprivileged;
mod workloads;

/// The cache modes that conformance and exercisers are run in.
const MODES: [&str; 2] = ["auto", "never"];
