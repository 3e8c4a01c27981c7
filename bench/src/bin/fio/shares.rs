//! One guest, and its ways to the host's files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use samepage_bench::record::is_chosen;
use samepage_tests::framework::artifact::tools;
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::daemon::{Counters, Daemon, Program, Spec, Table};
use samepage_tests::framework::guest::Output;
use samepage_tests::framework::lab::{MOUNT_POINT, Root};
use samepage_tests::framework::vm::Share;
use samepage_tests::framework::{Command, Lab, paths};

use crate::jobs::Size;

/// The way that the lab itself sets up.
const COHERENT: &str = "coherent";
const NINE_P: &str = "9p none";
/// Megabytes of the guest.
const MEMORY: u32 = 1536;

/// Who serves the files, and how the guest reaches them.
struct Kind {
    name: &'static str,
    /// Names the share, its directory and its logs.
    tag: &'static str,
    /// Nobody of ours: QEMU itself.
    program: Option<Program>,
    is_coherent: bool,
    has_window: bool,
}

/// A way to files of its own.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// Where the guest has it.
    pub(crate) place: String,
    /// Whether files can be mapped shared.
    pub(crate) maps: bool,
    has_window: bool,
    server: Server,
}

/// Who serves a way.
enum Server {
    Qemu,
    /// The lab's own daemon.
    Lab,
    Daemon(Box<Daemon>),
}

/// The guest, with all the ways that are wanted.
pub(crate) struct Guest {
    // Dropped in this order: the guest before those who serve it, and these before their directories.
    lab: Lab,
    pub(crate) ways: Vec<Way>,
    _directories: [Scratch; 2],
}

fn kinds() -> [Kind; 6] {
    let kind = |name, tag, program, is_coherent, has_window| Kind {
        name,
        tag,
        program,
        is_coherent,
        has_window,
    };
    let ours = || Some(Program::Samepaged);
    [
        kind(NINE_P, "nine-p", None, false, false),
        kind("virtiofsd none", "virtiofsd-none", Some(Program::Virtiofsd), false, false),
        kind("none", "none", ours(), false, false),
        kind("none + DAX", "none-dax", ours(), false, true),
        kind(COHERENT, "coherent", ours(), true, false),
        kind("coherent + DAX", "coherent-dax", ours(), true, true),
    ]
}

impl Guest {
    /// Start daemons and the guest, make the files, and mount. `wanted` are parts of names.
    pub(crate) fn boot(kernel: &str, window: &str, size: &Size, wanted: &[String]) -> Result<Self> {
        let kinds = kinds().into_iter().filter(|kind| is_chosen(kind.name, wanted));
        let kinds: Vec<Kind> = kinds.collect();
        ensure!(!kinds.is_empty(), "no way has such a name");
        // What has to be fetched is fetched before anything runs.
        tools::fio()?;
        let files = Scratch::new_in(&paths::rig().join("shares"))?;
        let sockets = Scratch::in_memory()?;
        let logs = paths::logs().join("bench/fio");
        fs::create_dir_all(&logs)?;
        let own = files.path().join(COHERENT);
        fs::create_dir_all(&own)?;
        let mut builder = Lab::builder().daemon(Program::Samepaged).coherent().share(&own);
        builder = builder.table(table(sockets.path())).kernel(kernel).root(Root::Host).logs(&logs);
        builder = builder.cpus(2).memory(MEMORY).command_limit(Duration::from_mins(5));
        let mut ways = Vec::new();
        for kind in &kinds {
            let directory = files.path().join(kind.tag);
            furnish(&directory, size)?;
            let mut server = Server::Qemu;
            if kind.name == COHERENT {
                server = Server::Lab;
            } else if kind.program.is_some() {
                let daemon = kind.serve(&directory, sockets.path(), &logs, window)?;
                builder = builder.attach(kind.device(&daemon));
                server = Server::Daemon(Box::new(daemon));
            } else {
                builder = builder.qemu_args(kind.qemu_serves(&directory));
            }
            ways.push(kind.way(server));
        }
        let guest = Self { lab: builder.boot()?, ways, _directories: [sockets, files] };
        kinds.iter().zip(&guest.ways).try_for_each(|(kind, way)| guest.mount(kind, way))?;
        Ok(guest)
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.ways.iter().map(|way| way.name).collect()
    }

    /// Run a command to its end.
    pub(crate) fn run(&self, command: Command) -> Result<Output> {
        self.lab[0].run(command)
    }

    /// What the daemon has counted, if it counts.
    pub(crate) fn counters(&self, way: &Way) -> Result<Option<Counters>> {
        match &way.server {
            Server::Qemu => Ok(None),
            Server::Lab => self.lab[0].counters().map(Some),
            Server::Daemon(daemon) if daemon.stats_socket().is_none() => Ok(None),
            Server::Daemon(daemon) => daemon.counters().map(Some),
        }
    }

    /// What can be cached is cached then.
    pub(crate) fn read_all(&self, way: &Way) -> Result<()> {
        let script = format!("cat {}/f.* > /dev/null", way.place);
        self.run(Command::sh(script)).and_then(Output::ok).context(way.name).map(drop)
    }

    pub(crate) fn power_off(self) -> Result<()> {
        let Self { lab, ways, .. } = self;
        let ended = lab.power_off();
        drop(ways);
        ended
    }

    fn mount(&self, kind: &Kind, way: &Way) -> Result<()> {
        let (tag, place) = (kind.tag, &way.place);
        let options = if kind.has_window { "-o dax=inode" } else { "" };
        let mount = match kind.name {
            COHERENT => "true".to_owned(),
            NINE_P => {
                format!("mount -t 9p -o trans=virtio,version=9p2000.L,cache=none {tag} {place}")
            }
            _ if kind.is_coherent => format!("mount.samepage {tag} {place} {options}"),
            _ => format!("mount -t virtiofs {options} {tag} {place}"),
        };
        let script = format!("set -e; mkdir -p {place}; {mount}; head -c 8192 {place}/f.0 | wc -c");
        let output = self.run(Command::sh(script)).and_then(Output::ok).context(kind.name)?;
        ensure!(output.text().trim() == "8192", "{}: the files are not there", kind.name);
        if let Some(counters) = self.counters(way)?.filter(|_| way.has_window) {
            ensure!(counters.requests("SETUPMAPPING") > 0, "{}: nothing is mapped", kind.name);
            ensure!(counters.requests("READ") == 0, "{}: not all is mapped", kind.name);
        }
        Ok(())
    }
}

impl Kind {
    fn way(&self, server: Server) -> Way {
        let place = match self.name {
            COHERENT => MOUNT_POINT.to_owned(),
            _ => format!("/run/fio/{}", self.tag),
        };
        let maps = self.is_coherent || self.has_window;
        Way { name: self.name, place, maps, has_window: self.has_window, server }
    }

    fn serve(&self, directory: &Path, sockets: &Path, logs: &Path, window: &str) -> Result<Daemon> {
        let program = self.program.clone().context("QEMU serves these")?;
        let arguments = ["--dax-window", window, "--num-request-queues", "1"];
        let arguments = if self.has_window { &arguments[..] } else { &[] };
        let cache = (!self.is_coherent).then(|| "never".to_owned());
        let spec = Spec {
            program,
            share: directory.to_owned(),
            tag: self.tag.to_owned(),
            cache,
            arguments: arguments.iter().map(Into::into).collect(),
            table: self.is_coherent.then(|| table(sockets)),
            environment: Vec::new(),
            user: None,
            echo: false,
        };
        let (socket, log) = (sockets.join(self.tag), logs.join(format!("{}.log", self.tag)));
        Daemon::start(self.name, &spec, &socket, &log)
    }

    fn device(&self, daemon: &Daemon) -> Share {
        let socket = daemon.socket().to_owned();
        Share { tag: self.tag.to_owned(), socket, queues: 1, shared_memory: self.has_window }
    }

    fn qemu_serves(&self, directory: &Path) -> [String; 4] {
        // QEMU wants commas doubled.
        let path = directory.display().to_string().replace(',', ",,");
        let files = format!("local,id={tag},path={path},security_model=none", tag = self.tag);
        let device = format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}", tag = self.tag);
        ["-fsdev".into(), files, "-device".into(), device]
    }
}

/// Where the lab's daemon has it, too.
fn table(sockets: &Path) -> Table {
    Table::named(sockets.join("table"))
}

/// By the host, and all at once: a file that is met when it is empty is not mapped.
fn furnish(directory: &Path, size: &Size) -> Result<()> {
    fs::create_dir_all(directory)?;
    for number in 0..size.multi {
        let bytes = vec![b'x'; size.mib as usize * (1 << 20)];
        fs::write(directory.join(format!("f.{number}")), bytes)?;
    }
    Ok(())
}
