//! Figures about a running daemon, and whether it is well: Prometheus text over HTTP on a Unix socket.

mod http;
mod page;
mod text;

use std::path::Path;
use std::thread;

use crate::socket::{BoundSocket, SocketError};

pub use page::{Sources, health, page};

/// What is asked for over HTTP.
trait Pages {
    /// The page at `/metrics`.
    fn metrics(&self) -> String;
    /// The answer at `/health`: what is wrong, if anything.
    fn health(&self) -> Result<(), String>;
}

impl Pages for Sources {
    fn metrics(&self) -> String {
        page(self)
    }

    fn health(&self) -> Result<(), String> {
        health(self)
    }
}

/// A socket at which figures can be had; it goes away with this value.
#[derive(Debug)]
pub struct StatsSocket(#[allow(dead_code)] BoundSocket);

impl StatsSocket {
    /// Answers at `path` with what `sources` tell.
    ///
    /// # Errors
    /// Where the socket cannot be made, or no thread can be started.
    pub fn serve(path: &Path, sources: Sources) -> Result<Self, SocketError> {
        let (socket, listener) = BoundSocket::bind(path, None)?;
        thread::Builder::new()
            .name("stats".to_owned())
            .spawn(move || http::serve(&listener, &sources))
            .map_err(SocketError::Other)?;
        Ok(Self(socket))
    }
}
