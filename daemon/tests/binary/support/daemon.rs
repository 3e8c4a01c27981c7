//! A running daemon.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use super::wait_until;

/// The program under test.
pub(crate) fn samepaged() -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_samepaged")))
}

/// The same without the right to make a table immutable: tests that are killed leave nothing that cannot be removed.
pub(crate) fn samepaged_without_seals() -> Command {
    if !rustix::process::geteuid().is_root() {
        return samepaged();
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-linux_immutable", env!("CARGO_BIN_EXE_samepaged")]);
    prepared(command)
}

fn prepared(mut command: Command) -> Command {
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    // Tests leave no tables behind in the run-time directory. What they say themselves counts, coming later.
    command.args(["--version-table", "off"]);
    command
}

/// Runs the program to its end, which comes by itself where the command line is wrong.
pub(crate) fn run(arguments: &[&str]) -> Output {
    samepaged().args(arguments).output().unwrap()
}

/// A daemon that serves a temporary directory. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    directory: TempDir,
}

impl Daemon {
    /// Starts one with more options and waits until it listens.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), options)
    }

    /// As [`Self::start`], with its files in `directory`.
    pub(crate) fn start_in(directory: TempDir, options: &[&str]) -> Self {
        let share = directory.path().join("share");
        fs::create_dir_all(&share).unwrap();
        let mut command = samepaged();
        command.arg("--socket-path").arg(directory.path().join("socket"));
        command.arg("--shared-dir").arg(share);
        command.args(options);
        Self::spawn(command, directory)
    }

    /// Starts `command`, which has its share and socket in `directory`.
    pub(crate) fn spawn(command: Command, directory: TempDir) -> Self {
        let mut daemon = Self::spawn_only(command, directory);
        daemon.wait_for_log("waiting for a front end");
        daemon
    }

    /// As [`Self::spawn`], of a daemon that does not log that it is ready.
    pub(crate) fn spawn_silent(command: Command, directory: TempDir) -> Self {
        let mut daemon = Self::spawn_only(command, directory);
        wait_until("the daemon listens", || {
            assert!(daemon.is_alive(), "the daemon has ended:\n{}", daemon.log());
            is_listening(&daemon.socket())
        });
        daemon
    }

    fn spawn_only(mut command: Command, directory: TempDir) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, lines) = (child.stderr.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || collect(stderr, &lines));
        Self { child, log, directory }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub(crate) fn share(&self) -> PathBuf {
        self.directory.path().join("share")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log says `text`.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        wait_until(&format!("the log says {text:?}"), || {
            let log = self.log();
            assert!(self.is_alive(), "the daemon has ended:\n{log}");
            log.contains(text)
        });
    }

    /// How often the log says `text`.
    pub(crate) fn log_count(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        self.count("fd")
    }

    /// Threads.
    pub(crate) fn threads(&self) -> usize {
        self.count("task")
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.kib("VmRSS:")
    }

    fn kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn count(&self, what: &str) -> usize {
        fs::read_dir(self.proc(what)).unwrap().count()
    }

    fn proc(&self, what: &str) -> PathBuf {
        Path::new("/proc").join(self.serving().to_string()).join(what)
    }

    /// The process that was started.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The process that serves: in a sandbox the last of a line of children.
    pub(crate) fn serving(&self) -> u32 {
        let mut last = self.child.id();
        while let Some(child) = child_of(last) {
            last = child;
        }
        last
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Sets the daemon's limit for the size of files (`RLIMIT_FSIZE`).
    pub(crate) fn limit_file_size(&self, bytes: u64) {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        let serving = Pid::from_raw(self.serving().try_into().unwrap());
        prlimit(serving, Resource::Fsize, limit).unwrap();
    }

    /// Lets the daemon have so many bytes more of its own than it has now, and no more (`RLIMIT_DATA`).
    pub(crate) fn limit_memory(&self, more: u64) {
        let limit = self.kib("VmData:") * 1024 + more;
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        let serving = Pid::from_raw(self.serving().try_into().unwrap());
        prlimit(serving, Resource::Data, limit).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    /// Waits for the daemon to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Ends the daemon as a crash would, and returns the directory with what it left behind.
    pub(crate) fn crash(mut self) -> TempDir {
        self.signal(Signal::KILL);
        assert_eq!(self.wait().signal(), Some(9));
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether connections are accepted: between bind(2) and listen(2) they are not. Not by connecting, which would count.
pub(crate) fn is_listening(socket: &Path) -> bool {
    let (sockets, path) = (fs::read_to_string("/proc/net/unix").unwrap(), socket.to_str().unwrap());
    sockets.lines().any(|line| line.ends_with(path) && line.split(' ').nth(3) == Some("00010000"))
}

fn child_of(process: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    children.ok()?.split_whitespace().next()?.parse().ok()
}

fn collect(stderr: impl Read, log: &Mutex<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut log = log.lock().unwrap();
        log.push_str(&line);
        log.push('\n');
    }
}
