//! Figures about a running daemon: Prometheus text over HTTP on a Unix socket.

mod http;
mod page;
mod text;

use std::path::Path;
use std::thread;

use crate::socket::{BoundSocket, SocketError};

pub use page::page;

/// A socket at which figures can be had; it goes away with this value.
#[derive(Debug)]
pub struct StatsSocket(#[allow(dead_code)] BoundSocket);

impl StatsSocket {
    /// Answers at `path` with what `render` says.
    ///
    /// # Errors
    /// Where the socket cannot be made, or no thread can be started.
    pub fn serve(
        path: &Path,
        render: impl Fn() -> String + Send + 'static,
    ) -> Result<Self, SocketError> {
        let (socket, listener) = BoundSocket::bind(path, None)?;
        thread::Builder::new()
            .name("stats".to_owned())
            .spawn(move || http::serve(&listener, &render))
            .map_err(SocketError::Other)?;
        Ok(Self(socket))
    }
}
