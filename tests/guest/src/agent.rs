//! The agent: takes commands from the port, and sends back what they write and how they end.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use samepage_guest::protocol::{FromGuest, PORT_NAME, Run, ToGuest, receive, send};

use crate::command::Running;

/// The way back to the host, and the commands that run.
pub(crate) struct Shared {
    port: Mutex<File>,
    running: Mutex<HashMap<u32, Pid>>,
}

impl Shared {
    /// Send one message about `command`. A host that is gone ends the agent by itself, at the
    /// next read.
    pub(crate) fn send(&self, command: u32, message: &FromGuest) {
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = send(&mut *port, command, message) {
            eprintln!("samepage-guest: the host does not listen: {error}");
        }
    }

    fn with_running<T>(&self, change: impl FnOnce(&mut HashMap<u32, Pid>) -> T) -> T {
        change(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serve the host until it asks to switch off, or goes away.
pub(crate) fn run() -> Result<()> {
    let path = find_port()?;
    let mut port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let shared = Arc::new(Shared {
        port: Mutex::new(port.try_clone()?),
        running: Mutex::new(HashMap::new()),
    });
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    shared.send(0, &FromGuest::Hello(release));
    while let Some((command, message)) = receive::<ToGuest>(&mut port)? {
        match message {
            ToGuest::Run(run) => start(&shared, command, &run),
            ToGuest::Signal(number) => signal(&shared, command, number),
            ToGuest::PowerOff => break,
        }
    }
    Ok(())
}

/// Start the program; a thread of its own follows it to its end.
fn start(shared: &Arc<Shared>, command: u32, run: &Run) {
    let running = match Running::start(run) {
        Ok(running) => running,
        Err(error) => {
            let missing = error.kind() == ErrorKind::NotFound;
            return give_up(shared, command, &error, if missing { 127 } else { 126 });
        }
    };
    shared.with_running(|all| all.insert(command, running.pid()));
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let ended = running.follow(&|output| shared.send(command, &output));
        shared.with_running(|all| all.remove(&command));
        match ended {
            Ok(status) => shared.send(command, &FromGuest::Exit(status)),
            Err(error) => give_up(&shared, command, &error, 126),
        }
    });
}

fn give_up(shared: &Shared, command: u32, error: &io::Error, status: i32) {
    shared.send(command, &FromGuest::Stderr(format!("samepage-guest: {error}\n").into_bytes()));
    shared.send(command, &FromGuest::Exit(status));
}

fn signal(shared: &Shared, command: u32, number: i32) {
    let Some(signal) = Signal::from_named_raw(number) else { return };
    if let Some(pid) = shared.with_running(|all| all.get(&command).copied()) {
        let _ = kill_process_group(pid, signal);
    }
}

/// The port's device file. The device is probed while we start, so look more than once.
fn find_port() -> Result<PathBuf> {
    for _ in 0..500 {
        for entry in fs::read_dir("/sys/class/virtio-ports").into_iter().flatten().flatten() {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            let device = PathBuf::from("/dev").join(entry.file_name());
            if name.trim_end() == PORT_NAME && device.exists() {
                return Ok(device);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("there is no virtio-serial port named {PORT_NAME}")
}
