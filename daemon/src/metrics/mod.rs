//! Figures about a running daemon, and whether it is well: Prometheus text over HTTP on a Unix socket.

mod http;
mod page;
mod text;

use std::io;
use std::os::unix::net::UnixListener;
use std::thread;

pub use page::{ProcessFiles, Sources, health, page};

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

/// Answers at `listener` with what `sources` tell, for as long as the process lives.
///
/// # Errors
/// No thread to be had.
pub fn serve(listener: UnixListener, sources: Sources) -> io::Result<()> {
    let serve = move || http::serve(&listener, &sources);
    thread::Builder::new().name("stats".to_owned()).spawn(serve).map(drop)
}
