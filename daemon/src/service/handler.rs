//! A server as the transport wants it.

use std::io;
use std::sync::Arc;

use coherence::Engine;
use fuse::io::{ReplyWriter, RequestReader};
use fuse::park::Park;
use fuse::{Agreement, FileSystem, Handled, Mapper, ProtocolError, Server};
use tracing::info;

use crate::coherent::Coherent;
use crate::migration::{Options, State};
use crate::passthrough::{self, Passthrough, RestoreError, Restored, SaveError};
use crate::transport::{Peer, RequestHandler};

/// A file system that tells of its locks, and can be handed over.
pub(super) trait Share: FileSystem {
    /// How many stretches of files are locked, and how many requests wait for a lock.
    fn lock_figures(&self) -> (usize, usize);

    /// As [`Passthrough::save`].
    fn save(&self, agreement: Agreement, options: Options) -> Result<State, SaveError>;

    /// As [`Passthrough::restore`].
    fn restore(&self, state: &State, options: Options) -> Result<Restored, RestoreError>;
}

impl Share for Passthrough {
    fn lock_figures(&self) -> (usize, usize) {
        Self::lock_figures(self)
    }

    fn save(&self, agreement: Agreement, options: Options) -> Result<State, SaveError> {
        Self::save(self, agreement, options)
    }

    fn restore(&self, state: &State, options: Options) -> Result<Restored, RestoreError> {
        Self::restore(self, state, options)
    }
}

impl Share for Coherent {
    fn lock_figures(&self) -> (usize, usize) {
        Self::lock_figures(self)
    }

    fn save(&self, agreement: Agreement, options: Options) -> Result<State, SaveError> {
        Self::save(self, agreement, options)
    }

    fn restore(&self, state: &State, options: Options) -> Result<Restored, RestoreError> {
        Self::restore(self, state, options)
    }
}

impl<F: Share> Handler<F> {
    fn go_on_with(&self, bytes: &[u8]) -> Result<(), RestoreError> {
        let state = State::decode(bytes)?;
        let Some(session) = &state.session else {
            info!("migration: the guest has not mounted yet");
            return Ok(());
        };
        let agreement = Agreement { minor: session.minor, flags: session.agreed };
        let restore = || {
            let restored = self.server.file_system().restore(&state, self.migration)?;
            let Restored { inodes, files, lost } = restored;
            info!(
                "migration: goes on with a guest that knows {inodes} inodes and has {files} files open; {lost} not found"
            );
            Ok(())
        };
        self.server.resume(agreement, restore)
    }
}

/// A server as the transport wants it.
pub(super) struct Handler<F> {
    pub(super) server: Server<F>,
    /// Keeps in mind in which process mappings live.
    pub(super) engine: Option<Arc<Engine>>,
    /// How the guest is moved.
    pub(super) migration: Options,
}

impl<F: Share> RequestHandler for Handler<F> {
    fn prepare_thread(&self) -> io::Result<()> {
        passthrough::prepare_thread()
    }

    fn handle(
        &self,
        request: &mut dyn RequestReader,
        reply: &mut dyn ReplyWriter,
        mapper: Option<&dyn Mapper>,
        lot: &dyn Park,
    ) -> Result<Handled, ProtocolError> {
        self.server.handle_or_park(request, reply, mapper, Some(lot))
    }

    fn save(&self) -> io::Result<Vec<u8>> {
        let Some(agreement) = self.server.agreement() else {
            info!("migration: no guest has mounted");
            return Ok(State::default().encode());
        };
        let share = self.server.file_system();
        let state = share.save(agreement, self.migration).map_err(io::Error::other)?;
        let (inodes, files) = (state.inodes.len(), state.files.len());
        info!(
            "migration: the guest knows {inodes} inodes and has {files} files open; another daemon may go on with it"
        );
        Ok(state.encode())
    }

    fn load(&self, bytes: &[u8]) -> io::Result<()> {
        self.server.reset();
        self.go_on_with(bytes).map_err(io::Error::other)
    }

    fn cancel_parked(&self) {
        self.server.file_system().cancel_parked();
    }

    fn connected(&self, peer: Option<&Peer>) {
        let Some(engine) = &self.engine else { return };
        match peer {
            Some(Peer { pid, started: Some(started), .. }) => {
                engine.set_front_end_outside(*pid, *started);
            }
            // Of a process that is not known nobody can tell that it has ended: no process has this number.
            _ => engine.set_front_end(Some(peer.map_or(-1, |peer| peer.pid))),
        }
    }

    fn reset(&self) {
        self.server.reset();
    }
}
