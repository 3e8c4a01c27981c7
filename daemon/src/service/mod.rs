//! Wires a file system, the server and the transport together.

mod door;
mod handler;

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use coherence::watch::{Mode, MountTable, OwnPrivilege, Privilege, Watcher};
use coherence::{Attendant, Engine, HostProcess, Keeper, Outlook};
use fuse::{Server, ServerConfig};
use tracing::{debug, info, warn};

use crate::cli::{Config, Front};
use crate::coherent::{Coherent, Cuts, WindowTenant, table};
use crate::dax::{self, Footprint, GuestView, Window};
use crate::error::StartError;
use crate::metrics::{self, ProcessFiles, Sources};
use crate::passthrough::{self, InodeFileHandles, Passthrough};
use crate::sandbox::{self, Enclosed, Inherited, Inside, Link, Outsider, Side, Takes};
use crate::transport::{self, Counters, Identify, Peer, RequestHandler, Stopper};
use crate::{limits, logging, signals, socket};

use door::{Asking, Door, Entrance, Listeners};
use handler::{Handler, Share};

/// Largest WRITE. Linux sends no more than 256 pages of 4 KiB in one request unless its administrator raised that.
const MAX_WRITE: u32 = 1 << 20;

/// Requests that a guest may have in flight in the background (read-ahead, write-back).
const MAX_BACKGROUND: u16 = 64;

/// Serves a directory until a signal comes, or the only front end has gone (`--once`).
///
/// # Errors
/// Where the daemon cannot start. Nothing is left behind in the file system then, and nothing but the error is said.
pub fn run(config: &Config) -> Result<ExitCode, StartError> {
    let entrance = Entrance::new(&config.front)?;
    // Before anything is opened: what is ours is no other's.
    let inherited = Inherited::find(entrance.inherited()).map_err(system("/proc"))?;
    let log = (config.log_target, config.log_format);
    logging::start(config.log_level, log, &config.guest_name())?;
    check_directory(&config.share.shared_dir)?;
    config.sandbox.check()?;
    let descriptors = limits::set_descriptors(config.rlimit_nofile)?;
    let claim = entrance.claim()?;
    // Before the daemon may become somebody else.
    let table = table::place(&config.version_table, &config.share.shared_dir)?;
    let start = Start { config, descriptors, table };
    if config.sandbox.mode == sandbox::Mode::None {
        return start.serve(None, Asking::Oneself(claim)).map(|()| ExitCode::SUCCESS);
    }
    match sandbox::split(&config.sandbox, inherited)? {
        Side::Outside(supervisor) => {
            let mut claim = claim.keep(config.stats_socket.as_deref());
            supervisor.attend(&mut claim, config.dax.is_some()).map(ExitCode::from)
        }
        Side::Inside(inside) => {
            let asking = Asking::Outside(Arc::clone(&inside.link), claim.leave());
            start.serve(Some(inside), asking).map(|()| ExitCode::SUCCESS)
        }
    }
}

/// What the serving process is started with.
struct Start<'a> {
    config: &'a Config,
    descriptors: u64,
    table: Option<PathBuf>,
}

/// What is needed of the host while the daemon serves.
struct Surroundings {
    shared_dir: PathBuf,
    mounts: io::Result<MountTable>,
    privilege: Arc<dyn Privilege>,
    process: ProcessFiles,
}

impl Start<'_> {
    /// In this order: everything that has a path outside, the sandbox, whatever is opened in it, threads.
    fn serve(&self, inside: Option<Inside>, asking: Asking<'_>) -> Result<(), StartError> {
        let config = self.config;
        // Before the socket is there: whoever sees it may start a VMM, which wants the table.
        let engine = self.join_table(inside.as_ref().map(|inside| inside.process))?;
        let mut device = config.device.clone();
        if let Some(engine) = engine.as_ref().filter(|_| config.table_region) {
            device.region = Some(table::region(engine).map_err(system("version table"))?);
        }
        if let Some(engine) = &engine {
            table::seal(engine);
        }
        let window = config.dax.map(|(size, policy)| Ok((Arc::new(Window::new(size)?), policy)));
        let window = window.transpose().map_err(system("memory for --dax-window"))?;
        device.window = window.as_ref().map(|(window, _)| Arc::clone(window));
        check_regions(&device)?;
        if let Some(inside) = &inside {
            device.identify = Arc::new(FromOutside(Arc::clone(&inside.link)));
            if let Some(engine) = &engine {
                engine.ask_outside(Arc::clone(&inside.link) as Arc<dyn Outlook>);
            }
        }
        let door = asking.open(config.stats_socket.as_deref())?;
        let surroundings = self.surroundings(inside.as_ref())?;
        let mut share = config.share.clone();
        share.shared_dir.clone_from(&surroundings.shared_dir);
        if let Some(engine) = &engine {
            share.neighbours = Some(Arc::new(Cuts::new(engine)));
        }
        if let Some((window, policy)) = window {
            if let Some(engine) = &engine {
                window.agree_with(Arc::new(Cuts::new(engine)));
            }
            share.mapped = Some(Arc::new(GuestView { window, policy }));
        }
        let serving = Serving { start: self, device, door, inside, process: surroundings.process };
        let Some(engine) = engine else {
            return serving.run(Passthrough::new(share)?, None);
        };
        let mounts = || surroundings.mounts;
        let watcher = Watcher::prepare(&engine, config.watch, mounts, surroundings.privilege)?;
        let watcher = Arc::new(watcher);
        let threads =
            usize::from(config.device.request_queues.get()) + config.device.thread_pool_size;
        let share = Coherent::new(share, &engine, Arc::clone(&watcher), threads)?;
        serving.run(share, Some((engine, watcher)))
    }

    /// The version table that the options name. The group that may connect may also read the table.
    fn join_table(&self, process: Option<HostProcess>) -> Result<Option<Arc<Engine>>, StartError> {
        let Some(path) = self.table.clone() else { return Ok(None) };
        let group = match &self.config.front {
            Front::Path { group: Some(group), .. } => socket::group_id(group),
            _ => None,
        };
        Ok(Some(table::join(path, self.config.slots, group, process)?))
    }

    /// Enters the sandbox, if there is one.
    fn surroundings(&self, inside: Option<&Inside>) -> Result<Surroundings, StartError> {
        let outside = &self.config.share.shared_dir;
        let Some(inside) = inside else {
            return Ok(Surroundings {
                shared_dir: outside.clone(),
                mounts: MountTable::open(std::slice::from_ref(outside)),
                privilege: Arc::new(OwnPrivilege),
                process: ProcessFiles::open(None),
            });
        };
        let status = fs::File::open("/proc/self/status").ok();
        let Enclosed { shared_dir, mounts, proc_self_fd } =
            inside.enclose(outside, self.config.share.readonly)?;
        let process = ProcessFiles::open(proc_self_fd.try_clone().ok().zip(status));
        passthrough::use_proc_self_fd(proc_self_fd);
        Ok(Surroundings {
            mounts: MountTable::read_from(mounts, std::slice::from_ref(&shared_dir)),
            shared_dir,
            privilege: Arc::clone(&inside.link) as Arc<dyn Privilege>,
            process,
        })
    }

    fn greet(&self) {
        for note in &self.config.notes {
            warn!("{note}");
        }
        if self.config.rlimit_nofile.is_none() && self.descriptors < limits::DEFAULT {
            let descriptors = self.descriptors;
            warn!("no more than {descriptors} open descriptors: the system allows no more");
        }
        info!("serving {}", self.config.share.shared_dir.display());
    }
}

/// All that a daemon serves with, but for the file system.
struct Serving<'a> {
    start: &'a Start<'a>,
    device: transport::Options,
    door: Door,
    inside: Option<Inside>,
    process: ProcessFiles,
}

impl Serving<'_> {
    /// Starts the threads, and serves until a signal comes, or the only front end has gone.
    fn run<F: Share + 'static>(
        self,
        share: F,
        coherence: Option<(Arc<Engine>, Arc<Watcher>)>,
    ) -> Result<(), StartError> {
        let server = Server::new(
            share,
            ServerConfig {
                max_write: MAX_WRITE,
                max_background: MAX_BACKGROUND,
                map_alignment: self.device.window.as_ref().map(|_| dax::ALIGNMENT),
            },
        );
        let takes = Takes {
            file_handles: self.start.config.share.inode_file_handles != InodeFileHandles::Never,
            marks: self.inside.is_none() && self.start.config.watch != Mode::Off,
            looks: self.inside.is_none() && self.start.config.dax.is_some(),
        };
        sandbox::drop_rights(&self.start.config.sandbox, takes)?;
        let stopper = Arc::new(Stopper::new().map_err(system("event"))?);
        let counters = Arc::new(Counters::default());
        let _keeper = match &coherence {
            Some((engine, watcher)) => {
                watcher.begin()?;
                let thread = "thread that looks after the table";
                Some(Keeper::start(engine).map_err(system(thread))?)
            }
            None => None,
        };
        let _attendant = match (&coherence, &self.device.window) {
            (Some((engine, _)), Some(window)) => {
                let tenant = Arc::new(WindowTenant(Arc::clone(window)));
                let started = Attendant::start(engine, tenant);
                Some(started.map_err(system("thread that lets go of files"))?)
            }
            _ => None,
        };
        if let Some(window) = &self.device.window
            && let Err(error) = window.watch_host()
        {
            warn!("files that the host cuts end VMMs that have them mapped: {error}");
        }
        let Door { listeners: Listeners { vmm, stats }, _guards } = self.door;
        let requests = Arc::clone(server.counters());
        let engine = coherence.as_ref().filter(|_| self.device.window.is_some());
        let engine = engine.map(|(engine, _)| Arc::clone(engine));
        let handler = Arc::new(Handler { server, engine, migration: self.start.config.migration });
        if let Some(stats) = stats {
            let served = Arc::clone(&handler);
            let sources = Sources {
                guest: self.start.config.guest_name(),
                directory: self.start.config.share.shared_dir.display().to_string(),
                requests,
                transport: Arc::clone(&counters),
                locks: Box::new(move || served.server.file_system().lock_figures()),
                process: self.process,
                table: coherence.clone(),
            };
            metrics::serve(stats, sources).map_err(system("thread for --stats-socket"))?;
        }
        match &self.inside {
            Some(inside) => signals::obey(Arc::clone(&inside.link), Arc::clone(&stopper)),
            None => signals::watch(Arc::clone(&stopper)),
        }
        .map_err(system("signal handlers"))?;

        // Nothing can fail any more.
        self.start.greet();
        if let Some((engine, _)) = coherence {
            info!("for the guest's samepage driver, QEMU needs {}", table::qemu_arguments(&engine));
        }
        let handler: Arc<dyn RequestHandler> = handler;
        transport::serve(vmm, &self.device, &handler, &counters, &stopper)
            .map_err(system("waiting for a front end"))
    }
}

/// QEMU puts all regions of a device into one PCI BAR.
fn check_regions(device: &transport::Options) -> Result<(), StartError> {
    let Some(window) = &device.window else { return Ok(()) };
    let (window, table) = (window.size(), device.region.as_ref().map_or(0, |table| table.size));
    if (window + table).is_power_of_two() {
        return Ok(());
    }
    Err(StartError::Regions { window, table })
}

/// In a sandbox whoever connects is known outside.
#[derive(Debug)]
struct FromOutside(Arc<Link>);

impl Identify for FromOutside {
    fn peer(&self, socket: BorrowedFd<'_>) -> Option<Peer> {
        let found = self.0.peer(socket).inspect_err(|error| {
            warn!("the VMM's process is not known ({error}): what it has mapped counts until the daemon ends");
        });
        let (process, ended) = found.ok()?;
        let sees = self.0.sees(process);
        let sees = sees.inspect_err(|error| debug!("/proc/{}/maps: {error}", process.pid));
        let footprint = sees.is_ok().then(|| {
            let outside = Arc::clone(&self.0);
            Arc::new(SeenFromOutside { outside, process }) as Arc<dyn Footprint>
        });
        let (pid, started) = (process.pid, Some(process.started));
        Some(Peer { pid, started, ended: Some(ended), footprint })
    }
}

/// What a process has mapped, as the supervisor sees it.
#[derive(Debug)]
struct SeenFromOutside {
    outside: Arc<Link>,
    process: Outsider,
}

impl Footprint for SeenFromOutside {
    fn reaches(&self, file: BorrowedFd<'_>, from: u64) -> io::Result<bool> {
        self.outside.reaches(self.process, file, from)
    }
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
