//! What a daemon has counted: the requests of its guest, by operation.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(10);
const REQUESTS: &str = "samepaged_requests_total";

/// The figures of one moment, or what was added between two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    samples: BTreeMap<String, u64>,
}

impl Counters {
    /// Ask the daemon that listens on this socket.
    ///
    /// # Errors
    /// Nobody answers, or not with figures.
    pub(super) fn ask(socket: &Path) -> Result<Self> {
        let problem = || format!("cannot ask {}", socket.display());
        let mut stream = UnixStream::connect(socket).with_context(problem)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .with_context(problem)?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).with_context(problem)?;
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_default();
        ensure!(head.contains(" 200 "), "{} answered {head:?}", socket.display());
        Ok(Self::parse(body))
    }

    /// Lines are `name value` or `name{label="value"} value`; comments begin with `#`.
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self { samples: samples.collect() }
    }

    /// What was counted since `before`, nothing left out but what did not move.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let moved = self.samples.iter().filter_map(|(name, now)| {
            let difference = now.saturating_sub(before.sample(name));
            (difference > 0).then(|| (name.clone(), difference))
        });
        Self { samples: moved.collect() }
    }

    /// A sample by its whole name, labels included; 0 if there is none.
    #[must_use]
    pub fn sample(&self, name: &str) -> u64 {
        self.samples.get(name).copied().unwrap_or(0)
    }

    /// The requests of one operation, named as in the FUSE protocol (`LOOKUP`).
    #[must_use]
    pub fn requests(&self, opcode: &str) -> u64 {
        self.sample(&format!("{REQUESTS}{{opcode=\"{opcode}\"}}"))
    }

    /// Every operation that was asked for, with how often, by name.
    pub fn by_opcode(&self) -> impl Iterator<Item = (&str, u64)> {
        self.samples.iter().filter_map(|(name, count)| {
            let opcode = name.strip_prefix(REQUESTS)?.strip_prefix("{opcode=\"")?;
            Some((opcode.strip_suffix("\"}")?, *count)).filter(|(_, count)| *count > 0)
        })
    }

    /// All requests but those of these operations.
    #[must_use]
    pub fn requests_but(&self, opcodes: &[&str]) -> u64 {
        let others = self.by_opcode().filter(|(opcode, _)| !opcodes.contains(opcode));
        others.map(|(_, count)| count).sum()
    }
}

/// The operations and how often, as `GETATTR 2, LOOKUP 1`; `no requests` for none.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> =
            self.by_opcode().map(|(opcode, count)| format!("{opcode} {count}")).collect();
        f.write_str(if words.is_empty() { "no requests".into() } else { words.join(", ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP x Text.\nsamepaged_requests_total{opcode=\"LOOKUP\"} 7\n\
                        samepaged_requests_total{opcode=\"GETATTR\"} 2\n\
                        samepaged_requests_total{opcode=\"READ\"} 0\nprocess_threads 4\n";

    #[test]
    fn figures_are_read_and_compared() {
        let before = Counters::parse(PAGE);
        assert_eq!((before.requests("LOOKUP"), before.sample("process_threads")), (7, 4));
        assert_eq!((before.requests_but(&["GETATTR"]), before.requests("MKDIR")), (7, 0));
        let after = Counters::parse(&PAGE.replace("\"} 7", "\"} 10"));
        let moved = after.since(&before);
        assert_eq!(moved.to_string(), "LOOKUP 3");
        assert_eq!(before.to_string(), "GETATTR 2, LOOKUP 7");
        assert_eq!(before.since(&before).to_string(), "no requests");
    }
}
