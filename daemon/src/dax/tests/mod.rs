//! The window against a VMM that refuses what QEMU 11.1 refuses.

mod cuts;
mod hostile;
mod model;
mod refusals;
