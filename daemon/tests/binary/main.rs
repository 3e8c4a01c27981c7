//! The real program: its command line, its sockets, and a scripted VMM with real memory and rings on the other end.

mod activation;
mod bad_input;
mod compatibility;
mod connections;
mod faults;
mod hostile;
mod metrics;
mod migration;
mod requests;
mod sandbox;
mod support;
mod tables;
mod twins;
