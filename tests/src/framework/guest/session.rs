//! The host's end of the conversation with a guest's agent.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::command::{Command, Output};
use samepage_guest::protocol::{FromGuest, ToGuest, receive, send};

/// Something that a running command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It wrote to its standard output.
    Stdout(Vec<u8>),
    /// It wrote to its standard error.
    Stderr(Vec<u8>),
    /// It ended with this status. Nothing follows.
    Exit(i32),
}

/// A connection to an agent. Several commands may run at once.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    hello: Mutex<Receiver<FromGuest>>,
}

#[derive(Debug)]
struct Shared {
    writer: Mutex<UnixStream>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last_command: u32,
    gone: bool,
    listeners: HashMap<u32, Sender<FromGuest>>,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, command: u32, message: &ToGuest) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut *writer, command, message).context("the guest is gone")
    }

    /// A number for a new command, and the channel of what it does.
    fn listen(&self) -> Result<(u32, Receiver<FromGuest>)> {
        let mut table = self.table();
        if table.gone {
            bail!("the guest is gone");
        }
        table.last_command += 1;
        let command = table.last_command;
        let (sender, receiver) = channel();
        table.listeners.insert(command, sender);
        Ok((command, receiver))
    }

    /// Hand on what comes in. At the end every listener learns that the guest is gone.
    fn distribute(&self, reader: &mut UnixStream) {
        while let Ok(Some((command, message))) = receive::<FromGuest>(reader) {
            let last = matches!(message, FromGuest::Exit(_));
            let mut table = self.table();
            if let Some(listener) = table.listeners.get(&command) {
                // Nobody listens to a command whose handle was dropped.
                let _ = listener.send(message);
            }
            if last {
                table.listeners.remove(&command);
            }
        }
        let mut table = self.table();
        table.gone = true;
        table.listeners.clear();
    }
}

impl Session {
    /// Talk over this connection. The agent says hello when the guest is up.
    ///
    /// # Errors
    /// The descriptor cannot be duplicated.
    pub fn new(connection: UnixStream) -> Result<Self> {
        let mut reader = connection.try_clone()?;
        let (sender, hello) = channel();
        let table = Table { listeners: HashMap::from([(0, sender)]), ..Table::default() };
        let shared = Arc::new(Shared { writer: Mutex::new(connection), table: Mutex::new(table) });
        let distributor = Arc::clone(&shared);
        thread::spawn(move || distributor.distribute(&mut reader));
        Ok(Self { shared, hello: Mutex::new(hello) })
    }

    /// The agent has talked over `other` before: no number of a command is used again.
    pub fn goes_on_after(&self, other: &Self) {
        let last = other.shared.table().last_command;
        self.shared.table().last_command = last;
    }

    /// Wait until the guest is up, and learn its kernel's release.
    ///
    /// # Errors
    /// The guest ended, or `deadline` passed.
    pub fn wait_for_hello(&self, deadline: Instant) -> Result<String> {
        let hello = self.hello.lock().unwrap_or_else(PoisonError::into_inner);
        match next(&hello, deadline)? {
            Some(FromGuest::Hello(release)) => Ok(release),
            Some(other) => bail!("the agent began with {other:?}"),
            None => bail!("the guest was not up in time"),
        }
    }

    /// Start a command and do not wait for it.
    ///
    /// # Errors
    /// The guest is gone.
    pub fn start(&self, command: Command) -> Result<Running> {
        let describe = command.describe();
        let (number, events) = self.shared.listen()?;
        self.shared.send(number, &ToGuest::Run(command.into_run()))?;
        Ok(Running { shared: Arc::clone(&self.shared), number, events, command: describe })
    }

    /// Ask the guest to unmount and switch off.
    ///
    /// # Errors
    /// The guest is gone.
    pub fn power_off(&self) -> Result<()> {
        self.shared.send(0, &ToGuest::PowerOff)
    }
}

/// A command that runs in a guest. Dropping the value leaves it running.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    number: u32,
    events: Receiver<FromGuest>,
    command: String,
}

impl Running {
    /// What it does next; `None` when `deadline` passes first.
    ///
    /// # Errors
    /// The guest ended.
    pub fn next(&self, deadline: Instant) -> Result<Option<Event>> {
        Ok(match next(&self.events, deadline)? {
            None => None,
            Some(FromGuest::Stdout(bytes)) => Some(Event::Stdout(bytes)),
            Some(FromGuest::Stderr(bytes)) => Some(Event::Stderr(bytes)),
            Some(FromGuest::Exit(status)) => Some(Event::Exit(status)),
            Some(FromGuest::Hello(_)) => bail!("the agent said hello to a command"),
        })
    }

    /// Wait for its end.
    ///
    /// # Errors
    /// The guest ended, or `deadline` passed.
    pub fn wait(self, deadline: Instant) -> Result<Output> {
        let mut output = Output { command: self.command.clone(), ..Output::default() };
        loop {
            match self.next(deadline)? {
                Some(Event::Stdout(bytes)) => output.stdout.extend(bytes),
                Some(Event::Stderr(bytes)) => output.stderr.extend(bytes),
                Some(Event::Exit(status)) => {
                    output.status = status;
                    return Ok(output);
                }
                None => bail!(
                    "`{}` did not end in time; so far it wrote:\n{}{}",
                    self.command,
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                ),
            }
        }
    }

    /// Send a signal, by its Linux number, to the command and its children.
    ///
    /// # Errors
    /// The guest is gone.
    pub fn signal(&self, number: i32) -> Result<()> {
        self.shared.send(self.number, &ToGuest::Signal(number))
    }
}

fn next(events: &Receiver<FromGuest>, deadline: Instant) -> Result<Option<FromGuest>> {
    match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(event) => Ok(Some(event)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => bail!("the guest is gone"),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
