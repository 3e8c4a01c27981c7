//! QEMU's monitor (QMP), as far as moving a guest needs it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// How often QEMU is asked how far it has come.
const AGAIN: Duration = Duration::from_millis(20);

/// A connection to a monitor.
#[derive(Debug)]
pub struct Monitor {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Monitor {
    /// Connect to the monitor that listens, or will soon, on `socket`.
    ///
    /// # Errors
    /// It does not within `deadline`, or is no monitor.
    pub fn connect(socket: &Path, deadline: Instant) -> Result<Self> {
        let writer = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) => ensure!(Instant::now() < deadline, "no monitor: {error}"),
            }
            thread::sleep(AGAIN);
        };
        let mut monitor = Self { reader: BufReader::new(writer.try_clone()?), writer };
        monitor.line().context("the monitor's greeting")?;
        monitor.ask("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Have the guest sent to the QEMU that listens on `socket`. Returns when it has gone there, and says why if it stays.
    ///
    /// # Errors
    /// Neither happens within `deadline`.
    pub fn migrate(&mut self, socket: &Path, deadline: Instant) -> Result<Result<(), String>> {
        // Without it QEMU takes the guest for moved when it has sent everything, whatever the other one makes of it.
        let return_path = json!([{ "capability": "return-path", "state": true }]);
        self.ask("migrate-set-capabilities", &json!({ "capabilities": return_path }))?;
        self.ask("migrate", &json!({ "uri": format!("unix:{}", socket.display()) }))?;
        loop {
            let answer = self.ask("query-migrate", &json!({}))?;
            match answer["status"].as_str() {
                Some("completed") => return Ok(Ok(())),
                Some("failed" | "cancelled") => {
                    let why = answer["error-desc"].as_str().unwrap_or("QEMU does not say why");
                    return Ok(Err(why.to_owned()));
                }
                _ => ensure!(Instant::now() < deadline, "the guest is still on its way: {answer}"),
            }
            thread::sleep(AGAIN);
        }
    }

    /// Wait until the guest runs.
    ///
    /// # Errors
    /// It does not within `deadline`.
    pub fn wait_until_running(&mut self, deadline: Instant) -> Result<()> {
        while self.ask("query-status", &json!({}))?["running"] != true {
            ensure!(Instant::now() < deadline, "the guest does not run");
            thread::sleep(AGAIN);
        }
        Ok(())
    }

    fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        writeln!(self.writer, "{}", json!({ "execute": command, "arguments": arguments }))?;
        loop {
            // Events come in between.
            let mut answer =
                self.line().with_context(|| format!("the monitor's answer to {command}"))?;
            if let Some(error) = answer.get("error") {
                bail!("the monitor refuses {command}: {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        ensure!(self.reader.read_line(&mut line)? > 0, "QEMU has gone");
        Ok(serde_json::from_str(&line)?)
    }
}
