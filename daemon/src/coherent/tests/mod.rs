//! Daemons that share a table, without VMs: what a guest of one holds, after another has changed something.

mod changes;
mod doubt;
mod kit;
mod locks;
mod mappings;
mod replies;
mod session;
