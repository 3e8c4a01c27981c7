//! Several guests' output on one terminal: whole lines, each behind its guest's name.

use std::io::{self, Write};

use samepage_tests::framework::guest::Event;

/// Prints one guest's output. Lines of different guests never mix.
pub(crate) struct Printer {
    stdout: Lines,
    stderr: Lines,
}

impl Printer {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { stdout: Lines::new(prefix), stderr: Lines::new(prefix) }
    }

    /// Print what an event brings; the exit status if it was the last one.
    pub(crate) fn print(&mut self, event: Event) -> io::Result<Option<i32>> {
        match event {
            Event::Stdout(bytes) => self.stdout.add(&bytes, &mut io::stdout().lock())?,
            Event::Stderr(bytes) => self.stderr.add(&bytes, &mut io::stderr().lock())?,
            Event::Exit(status) => return Ok(Some(status)),
        }
        Ok(None)
    }

    /// Print lines that were never ended.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.stdout.end(&mut io::stdout().lock())?;
        self.stderr.end(&mut io::stderr().lock())
    }
}

/// Cuts a stream of bytes into lines.
struct Lines {
    prefix: Vec<u8>,
    begun: Vec<u8>,
}

impl Lines {
    fn new(prefix: &str) -> Self {
        Self { prefix: prefix.as_bytes().to_vec(), begun: Vec::new() }
    }

    fn add(&mut self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        self.begun.extend_from_slice(bytes);
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            out.write_all(&[&self.prefix, line].concat())?;
        }
        out.flush()
    }

    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.begun.is_empty() { Ok(()) } else { self.add(b"\n", out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_printed_and_bytes_are_kept() {
        let mut lines = Lines::new("[g] ");
        let mut out = Vec::new();
        lines.add(b"one\ntw", &mut out).unwrap();
        assert_eq!(out, b"[g] one\n");
        lines.add(b"o \xff\n\nthree", &mut out).unwrap();
        assert_eq!(out, b"[g] one\n[g] two \xff\n[g] \n");
        lines.end(&mut out).unwrap();
        lines.end(&mut out).unwrap();
        assert_eq!(out, b"[g] one\n[g] two \xff\n[g] \n[g] three\n");
    }
}
