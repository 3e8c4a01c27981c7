//! The VMM's side of vhost-user: guest memory, the handshake, rings.

mod connection;
mod memory;
mod queue;

pub(crate) use connection::Connection;
pub(crate) use queue::{Completion, Queue};
