//! Wires a file system, the server and the transport together.

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use coherence::watch::Watcher;
use coherence::{Engine, Keeper};
use fuse::io::{ReplyWriter, RequestReader};
use fuse::park::Park;
use fuse::{FileSystem, Handled, Mapper, ProtocolError, Server, ServerConfig};
use tracing::{info, warn};

use crate::cli::{Config, Front};
use crate::coherent::{Coherent, table};
use crate::error::StartError;
use crate::metrics::{Sources, StatsSocket};
use crate::passthrough::{self, Passthrough};
use crate::socket::{BoundSocket, PidFile, SocketError};
use crate::transport::{self, Counters, RequestHandler, Stopper};
use crate::{limits, logging, signals, socket};

/// Largest WRITE. Linux sends no more than 256 pages of 4 KiB in one request unless its administrator raised that.
const MAX_WRITE: u32 = 1 << 20;

/// Requests that a guest may have in flight in the background (read-ahead, write-back).
const MAX_BACKGROUND: u16 = 64;

/// Serves a directory until a signal comes, or the only front end has gone (`--once`).
///
/// # Errors
/// Where the daemon cannot start. Nothing is left behind in the file system then, and nothing but the error is said.
pub fn run(config: &Config) -> Result<(), StartError> {
    // Before anything else: nothing of ours may get the number of an inherited descriptor.
    let entrance = Entrance::new(&config.front)?;
    logging::start(config.log_level, config.log_target, &config.guest_name())?;
    check_directory(&config.share.shared_dir)?;
    let descriptors = limits::set_descriptors(config.rlimit_nofile)?;
    let claim = entrance.claim()?;
    // Before the socket is there: whoever sees it may start a VMM, which wants the table.
    let engine = join_table(config)?;
    let door = claim.open()?;
    let Some(engine) = engine else {
        let share = Passthrough::new(config.share.clone())?;
        return serve(config, &config.device, share, None, door, || greet(config, descriptors));
    };
    let _keeper = Keeper::start(&engine).map_err(system("thread that looks after the table"))?;
    let threads = usize::from(config.device.request_queues.get()) + config.device.thread_pool_size;
    let below = [config.share.shared_dir.clone()];
    let watcher = Arc::new(Watcher::start(&engine, config.watch, &below)?);
    let share = Coherent::new(config.share.clone(), &engine, Arc::clone(&watcher), threads)?;
    let mut device = config.device.clone();
    if config.table_region {
        device.region = Some(table::region(&engine).map_err(system("version table"))?);
    }
    serve(config, &device, share, Some((Arc::clone(&engine), watcher)), door, || {
        greet(config, descriptors);
        info!("for the guest's samepage driver, QEMU needs {}", table::qemu_arguments(&engine));
    })
}

/// Serves a file system until a signal comes, or the only front end has gone. Nothing can fail any more once `greet`
/// is called.
fn serve<F: Share + 'static>(
    config: &Config,
    device: &transport::Options,
    share: F,
    table: Option<(Arc<Engine>, Arc<Watcher>)>,
    door: Door,
    greet: impl FnOnce(),
) -> Result<(), StartError> {
    let server = Server::new(
        share,
        ServerConfig { max_write: MAX_WRITE, max_background: MAX_BACKGROUND, map_alignment: None },
    );
    let stopper = Arc::new(Stopper::new().map_err(system("event"))?);
    let counters = Arc::new(Counters::default());
    let requests = Arc::clone(server.counters());
    let handler = Arc::new(Handler(server));
    let served = Arc::clone(&handler);
    let sources = Sources {
        guest: config.guest_name(),
        directory: config.share.shared_dir.display().to_string(),
        requests,
        transport: Arc::clone(&counters),
        locks: Box::new(move || served.0.file_system().lock_figures()),
        table,
    };
    let _stats = stats_socket(config, sources)?;
    signals::watch(Arc::clone(&stopper)).map_err(system("signal handlers"))?;

    greet();
    let Door { listener, _socket, _pid_file } = door;
    let handler: Arc<dyn RequestHandler> = handler;
    transport::serve(listener, device, &handler, &counters, &stopper)
        .map_err(system("waiting for a front end"))
}

/// The version table that the options name. The group that may connect may also read the table.
fn join_table(config: &Config) -> Result<Option<Arc<Engine>>, StartError> {
    let group = match &config.front {
        Front::Path { group: Some(group), .. } => socket::group_id(group),
        _ => None,
    };
    let shared = &config.share.shared_dir;
    Ok(table::join(&config.version_table, config.slots, group, shared)?)
}

fn greet(config: &Config, descriptors: u64) {
    for note in &config.notes {
        warn!("{note}");
    }
    if config.rlimit_nofile.is_none() && descriptors < limits::DEFAULT {
        warn!("no more than {descriptors} open descriptors: the system allows no more");
    }
    info!("serving {}", config.share.shared_dir.display());
}

/// A file system that tells of its locks.
trait Share: FileSystem {
    /// How many stretches of files are locked, and how many requests wait for a lock.
    fn lock_figures(&self) -> (usize, usize);
}

impl Share for Passthrough {
    fn lock_figures(&self) -> (usize, usize) {
        Self::lock_figures(self)
    }
}

impl Share for Coherent {
    fn lock_figures(&self) -> (usize, usize) {
        Self::lock_figures(self)
    }
}

/// A server as the transport wants it.
struct Handler<F>(Server<F>);

impl<F: FileSystem> RequestHandler for Handler<F> {
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
        self.0.handle_or_park(request, reply, mapper, Some(lot))
    }

    fn cancel_parked(&self) {
        self.0.file_system().cancel_parked();
    }

    fn reset(&self) {
        self.0.reset();
    }
}

/// Where front ends shall come in.
enum Entrance<'a> {
    Inherited(UnixListener),
    Path { path: &'a Path, group: Option<&'a str> },
}

/// An entrance that no other daemon has.
struct Claim<'a> {
    entrance: Entrance<'a>,
    pid_file: Option<PidFile>,
}

/// Where front ends come in, and what goes away with it.
struct Door {
    listener: UnixListener,
    // In this order: the socket goes while its lock is still held.
    _socket: Option<BoundSocket>,
    _pid_file: Option<PidFile>,
}

impl<'a> Entrance<'a> {
    fn new(front: &'a Front) -> Result<Self, StartError> {
        match front {
            Front::Path { path, group } => Ok(Self::Path { path, group: group.as_deref() }),
            Front::Descriptor(fd) => transport::inherited_listener(*fd)
                .map(Self::Inherited)
                .map_err(|reason| StartError::Descriptor { fd: *fd, reason }),
        }
    }

    fn claim(self) -> Result<Claim<'a>, StartError> {
        let pid_file = match self {
            Self::Inherited(_) => None,
            Self::Path { path, .. } => Some(PidFile::lock(path).map_err(at(path))?),
        };
        Ok(Claim { entrance: self, pid_file })
    }
}

impl Claim<'_> {
    fn open(self) -> Result<Door, StartError> {
        let (socket, listener) = match self.entrance {
            Entrance::Inherited(listener) => (None, listener),
            Entrance::Path { path, group } => {
                let (socket, listener) = BoundSocket::bind(path, group).map_err(at(path))?;
                (Some(socket), listener)
            }
        };
        Ok(Door { listener, _socket: socket, _pid_file: self.pid_file })
    }
}

fn at(path: &Path) -> impl FnOnce(SocketError) -> StartError {
    let path = path.to_owned();
    move |error| StartError::Socket { path, error }
}

fn stats_socket(config: &Config, sources: Sources) -> Result<Option<StatsSocket>, StartError> {
    let Some(path) = &config.stats_socket else { return Ok(None) };
    StatsSocket::serve(path, sources)
        .map(Some)
        .map_err(|error| StartError::StatsSocket { path: path.clone(), error })
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// Finds out what is wrong with a directory before anything is made for it.
fn check_directory(directory: &Path) -> Result<(), StartError> {
    let named = || directory.to_owned();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => StartError::NoSharedDir(named()),
        io::ErrorKind::NotADirectory => StartError::SharedNoDir(named()),
        io::ErrorKind::PermissionDenied => StartError::SharedDirPermission(named()),
        _ => StartError::SharedDir { directory: named(), error },
    };
    if !fs::metadata(directory).map_err(failed)?.is_dir() {
        return Err(StartError::SharedNoDir(named()));
    }
    fs::read_dir(directory).map(drop).map_err(failed)
}
