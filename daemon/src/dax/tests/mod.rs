//! The window against a VMM that refuses what QEMU 11.1 refuses.

mod model;
mod refusals;
mod vmm;
