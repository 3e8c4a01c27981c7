//! A command for a guest, and what came of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Result, ensure};

use samepage_guest::protocol::Run;

/// How many characters of a command a message shows.
const SHOWN: usize = 160;

/// A program to be run in a guest. Arguments are passed on byte for byte.
#[derive(Debug, Clone)]
pub struct Command {
    run: Run,
}

impl Command {
    /// This program.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let argv = vec![program.as_ref().as_bytes().to_vec()];
        Self { run: Run { argv, ..Run::default() } }
    }

    /// The guest's shell, with this script.
    pub fn sh(script: impl AsRef<OsStr>) -> Self {
        Self::new("sh").arg("-c").arg(script)
    }

    /// Add an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.run.argv.push(argument.as_ref().as_bytes().to_vec());
        self
    }

    /// Add arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Set an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.as_ref().as_bytes().to_vec(), value.as_ref().as_bytes().to_vec());
        self.run.env.push(pair);
        self
    }

    /// Run it in this directory.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<OsStr>) -> Self {
        self.run.directory = path.as_ref().as_bytes().to_vec();
        self
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.run.stdin = bytes.into();
        self
    }

    /// The message that starts it.
    pub(super) fn into_run(self) -> Run {
        self.run
    }

    /// The program and its arguments, cut to what fits in a message.
    #[must_use]
    pub fn describe(&self) -> String {
        let words: Vec<_> =
            self.run.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
        let text = words.join(" ");
        let line = text.lines().next().unwrap_or_default();
        let shown: String = line.chars().take(SHOWN).collect();
        if shown.len() == text.len() { shown } else { shown + " …" }
    }
}

/// How a command ended and what it wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Which command it was, for messages.
    pub command: String,
    /// Its exit status, or 128 plus the signal that killed it.
    pub status: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Itself if the status is 0.
    ///
    /// # Errors
    /// Another status; the message shows what the command wrote.
    pub fn ok(self) -> Result<Self> {
        ensure!(
            self.status == 0,
            "`{}` ended with status {}\n{}{}",
            self.command,
            self.status,
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        );
        Ok(self)
    }
}
