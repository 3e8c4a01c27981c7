//! A VMM as strict as QEMU 11.1, and hostile use of a window in front of it. With the feature `fuzzing`, and in tests.

#![allow(clippy::missing_panics_doc)] // To panic is what they are for.

pub mod fuzz;
pub(super) mod vmm;
