//! vhost-user-fs daemons: ours, virtiofsd, or any other with virtiofsd's options.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::artifact::tools;
use super::cargo;
use super::process::Process;

pub mod counters;
mod table;
pub mod usage;

pub use counters::Counters;
pub use table::Table;

const START_LIMIT: Duration = Duration::from_secs(30);

/// Which daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Ours, built from this workspace.
    Samepaged,
    /// Ours, built so that tests can make it break a rule of the coherence protocol.
    Faulty,
    /// virtiofsd, built from its released crate.
    Virtiofsd,
    /// Any program, with its first arguments.
    Other(Vec<OsString>),
}

impl Program {
    /// `samepaged`, `virtiofsd`, or a command line, quoted as for a shell.
    ///
    /// # Errors
    /// The quotation is not closed, or there is nothing.
    pub fn parse(text: &OsStr) -> Result<Self> {
        match text.to_str() {
            Some("samepaged") => return Ok(Self::Samepaged),
            Some("virtiofsd") => return Ok(Self::Virtiofsd),
            _ => {}
        }
        let words: Option<Vec<OsString>> = shlex::bytes::split(text.as_bytes())
            .map(|words| words.into_iter().map(OsString::from_vec).collect());
        match words {
            Some(words) if !words.is_empty() => Ok(Self::Other(words)),
            _ => bail!("cannot make a command of \"{}\"", text.display()),
        }
    }

    /// Whether it is ours, so that it has our own options.
    fn is_ours(&self) -> bool {
        matches!(self, Self::Samepaged | Self::Faulty)
    }

    /// The command line's first words; what has to be built is built.
    fn command_line(&self) -> Result<Vec<OsString>> {
        Ok(match self {
            Self::Samepaged => vec![cargo::samepaged()?.into()],
            Self::Faulty => vec![cargo::faulty_samepaged()?.into()],
            Self::Virtiofsd => vec![tools::virtiofsd()?.into()],
            Self::Other(words) => words.clone(),
        })
    }
}

/// How a daemon is to be started.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Which one.
    pub program: Program,
    /// The directory that it shares.
    pub share: PathBuf,
    /// The name under which guests find the share.
    pub tag: String,
    /// `--cache`; `None` leaves it to the daemon.
    pub cache: Option<String>,
    /// More arguments.
    pub arguments: Vec<OsString>,
    /// The version table that it feeds, together with other daemons; `None` for none.
    pub table: Option<Table>,
    /// Variables to add to its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Whom it runs as, with the group of the same number and no rights; `None`: as we do.
    pub user: Option<u32>,
    /// Repeat its log on our standard error.
    pub echo: bool,
}

/// A daemon that runs, and waits for a VM on its socket or serves one.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    spec: Spec,
    socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Start one and wait until it listens on `socket`. Its standard error goes to `log`.
    ///
    /// # Errors
    /// It cannot be built or started, or ends before it listens; the message shows its log.
    pub fn start(name: &str, spec: &Spec, socket: &Path, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let process = spawn(name, spec, socket, file)?;
        let (socket, log) = (socket.to_path_buf(), log.to_path_buf());
        let mut daemon = Self { process, spec: spec.clone(), socket, log };
        daemon.wait_until_listening()?;
        Ok(daemon)
    }

    /// Kill it, if it still runs, and start another one in its place, which goes on with the log.
    ///
    /// The calling thread must live as long as the daemon is wanted.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        // What a killed daemon leaves behind is not what this one waits for.
        let _ = fs::remove_file(&self.socket);
        let problem = || format!("cannot write {}", self.log.display());
        let file = File::options().append(true).open(&self.log).with_context(problem)?;
        let name = self.process.name().to_owned();
        self.process = spawn(&name, &self.spec, &self.socket, file)?;
        self.wait_until_listening()
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The file that its standard error goes to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The socket on which it answers what it has counted; only our own daemon has one.
    #[must_use]
    pub fn stats_socket(&self) -> Option<PathBuf> {
        stats_socket(&self.spec, &self.socket)
    }

    /// What it has counted since its start.
    ///
    /// # Errors
    /// It has no counters, or does not answer.
    pub fn counters(&self) -> Result<Counters> {
        let socket = self.stats_socket().context("only our own daemon counts")?;
        Counters::ask(&socket).with_context(|| format!("no counters of {}", self.process.name()))
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether it listens, and has made its table, which may come later.
    fn is_ready(&self) -> Result<bool> {
        let table = self.spec.table.as_ref();
        let is_there = |table: &Table| table.path().metadata().is_ok_and(|file| file.len() > 0);
        let has_table = table.is_none_or(is_there);
        let sockets = fs::read("/proc/net/unix")?;
        Ok(has_table && listens(&sockets, self.socket.as_os_str().as_bytes()))
    }

    /// Trying to connect would take the place of the VM, so the kernel's table is asked.
    fn wait_until_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while !self.is_ready()? {
            if let Some(status) = self.process.status()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} ended at its start ({status}):\n{}", self.process.name(), log.trim_end());
            }
            ensure!(
                Instant::now() < deadline,
                "{} did not listen on {} within {START_LIMIT:?}; its log is {}",
                self.process.name(),
                self.socket.display(),
                self.log.display()
            );
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Start the program; it may not listen yet.
fn spawn(name: &str, spec: &Spec, socket: &Path, log: File) -> Result<Process> {
    let mut words = arguments(spec, spec.program.command_line()?, socket);
    if let Some(table) = &spec.table {
        words = table.wrap(words);
    }
    let (program, rest) = words.split_first().context("the daemon's command is empty")?;
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::null());
    if let Some(user) = spec.user {
        command.uid(user).gid(user);
    }
    command.envs(spec.environment.iter().map(|(name, value)| (name, value)));
    if spec.echo {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
    } else {
        command.stdout(log.try_clone()?).stderr(log.try_clone()?);
    }
    let mut process = Process::spawn(name, &mut command)?;
    if let Some(stderr) = process.take_stderr() {
        repeat(name.to_owned(), stderr, log);
    }
    Ok(process)
}

/// Beside the daemon's own socket.
fn stats_socket(spec: &Spec, socket: &Path) -> Option<PathBuf> {
    spec.program.is_ours().then(|| socket.with_extension("stats"))
}

/// The whole command line. A program whose own words hold `{socket}` or `{share}` gets them
/// filled in; else virtiofsd's options are added.
fn arguments(spec: &Spec, mut words: Vec<OsString>, socket: &Path) -> Vec<OsString> {
    let mut placed = false;
    for word in &mut words {
        for (mark, value) in [("{socket}", socket), ("{share}", spec.share.as_path())] {
            if let Some((before, after)) = word.to_str().and_then(|text| text.split_once(mark)) {
                let mut filled = OsString::from(before);
                filled.push(value);
                filled.push(after);
                *word = filled;
                placed = true;
            }
        }
    }
    if !placed {
        words.extend(["--socket-path".into(), socket.into()]);
        words.extend(["--shared-dir".into(), spec.share.clone().into()]);
    }
    if spec.program.is_ours() {
        // With other daemons the tag is QEMU's business alone.
        words.extend(["--tag".into(), spec.tag.clone().into()]);
    }
    if let Some(stats) = stats_socket(spec, socket) {
        words.extend(["--stats-socket".into(), stats.into()]);
    }
    match &spec.table {
        Some(table) => words.extend(["--version-table".into(), table.option()]),
        // Without the option there would be one in a directory outside the lab.
        None if spec.program.is_ours() => words.extend(["--version-table", "off"].map(Into::into)),
        None => {}
    }
    if let Some(cache) = &spec.cache {
        words.extend(["--cache".into(), cache.into()]);
    }
    words.extend(spec.arguments.iter().cloned());
    words
}

/// Whether the kernel's table of Unix sockets has a listening one of this name. A line is `number:
/// references protocol flags type state inode path`; flag 0x10000 says that it listens.
fn listens(table: &[u8], path: &[u8]) -> bool {
    table.split(|byte| *byte == b'\n').any(|line| {
        let flags = line.split(|byte| *byte == b' ').nth(3);
        flags == Some(b"00010000".as_slice()) && line.strip_suffix(path).is_some()
    })
}

/// Copy the daemon's log to a file, and to our standard error under its name.
fn repeat(name: String, from: ChildStderr, mut to: File) {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).into_owned();
            eprintln!("[{name}] {text}");
            let _ = writeln!(to, "{text}");
        }
    });
}

#[cfg(test)]
#[path = "daemon_tests.rs"]
mod tests;
