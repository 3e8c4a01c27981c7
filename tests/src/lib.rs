//! Real VMs on one shared directory: the rig ([`framework`]) and, in `tests/`, what is tested with it.
//!
//! `cargo xtask vm` and `cargo xtask demo` are thin command lines over the same library.

pub mod framework;
