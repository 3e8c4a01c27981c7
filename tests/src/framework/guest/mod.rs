//! Inside a guest: what it is made of, and how it is talked to.

pub mod command;
pub mod initramfs;
pub mod modules;
pub mod session;

pub use command::{Command, Output};
pub use session::{Event, Running, Session};
