//! What the host and a guest's agent say to each other, over one virtio-serial port.
//!
//! Frames in both directions: `length: u32, command: u32, kind: u8`, then `length` bytes of payload; all numbers are
//! little-endian. The host numbers the commands that it starts; several may run at once. Script, arguments,
//! environment and output travel as plain bytes, so nothing is ever quoted or re-encoded on the way.

use std::io::{self, Read, Write};

/// The name of the virtio-serial port that the agent looks for.
pub const PORT_NAME: &str = "samepage.agent";

/// The largest payload that either side accepts, in bytes.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// A program to be run in the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments. Never empty.
    pub argv: Vec<Vec<u8>>,
    /// Variables to add to the agent's environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// The working directory; empty for `/`.
    pub directory: Vec<u8>,
    /// What the program reads from its standard input, before the end of file.
    pub stdin: Vec<u8>,
}

/// From the host to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToGuest {
    /// Start a program.
    Run(Run),
    /// Send this signal to the command's process group.
    Signal(i32),
    /// Unmount, and switch the machine off.
    PowerOff,
}

/// From the guest to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGuest {
    /// The guest is up; the text is its kernel's release.
    Hello(String),
    /// The command wrote this to its standard output.
    Stdout(Vec<u8>),
    /// The command wrote this to its standard error.
    Stderr(Vec<u8>),
    /// The command ended: its exit status, or 128 plus the signal that killed it, or as in a shell
    /// 126 or 127 when it could not be started. Nothing of it follows.
    Exit(i32),
}

/// A message that can be put in a frame.
pub trait Message: Sized {
    /// The frame's kind and payload.
    fn encode(&self) -> (u8, Vec<u8>);
    /// The message of a frame; `None` when it is not one.
    fn decode(kind: u8, payload: &[u8]) -> Option<Self>;
}

impl Message for ToGuest {
    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Run(run) => (1, run.encode()),
            Self::Signal(number) => (2, number.to_le_bytes().to_vec()),
            Self::PowerOff => (3, Vec::new()),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        match kind {
            1 => Run::decode(payload).map(Self::Run),
            2 => Some(Self::Signal(number(payload)?)),
            3 => Some(Self::PowerOff),
            _ => None,
        }
    }
}

impl Message for FromGuest {
    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Hello(release) => (1, release.clone().into_bytes()),
            Self::Stdout(bytes) => (2, bytes.clone()),
            Self::Stderr(bytes) => (3, bytes.clone()),
            Self::Exit(status) => (4, status.to_le_bytes().to_vec()),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        match kind {
            1 => Some(Self::Hello(String::from_utf8_lossy(payload).into_owned())),
            2 => Some(Self::Stdout(payload.to_vec())),
            3 => Some(Self::Stderr(payload.to_vec())),
            4 => Some(Self::Exit(number(payload)?)),
            _ => None,
        }
    }
}

/// Write one frame of `command`.
///
/// # Errors
/// `InvalidInput` when the message is larger than [`MAX_PAYLOAD`]; else whatever the writer fails with.
pub fn send(writer: &mut impl Write, command: u32, message: &impl Message) -> io::Result<()> {
    let (kind, payload) = message.encode();
    if payload.len() > MAX_PAYLOAD {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too large"));
    }
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&command.to_le_bytes());
    frame.push(kind);
    frame.extend_from_slice(&payload);
    writer.write_all(&frame)?;
    writer.flush()
}

/// Read one frame; `None` at the end of the stream.
///
/// # Errors
/// `InvalidData` for a frame that is none; else whatever the reader fails with.
pub fn receive<M: Message>(reader: &mut impl Read) -> io::Result<Option<(u32, M)>> {
    let mut header = [0; HEADER];
    match reader.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let command = u32::from_le_bytes([c0, c1, c2, c3]);
    if length > MAX_PAYLOAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame's length is absurd"));
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    let message = M::decode(kind, &payload)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a frame makes no sense"))?;
    Ok(Some((command, message)))
}

const HEADER: usize = 9;

impl Run {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_count(&mut out, self.argv.len());
        self.argv.iter().for_each(|argument| put(&mut out, argument));
        put_count(&mut out, self.env.len());
        for (name, value) in &self.env {
            put(&mut out, name);
            put(&mut out, value);
        }
        put(&mut out, &self.directory);
        put(&mut out, &self.stdin);
        out
    }

    fn decode(mut payload: &[u8]) -> Option<Self> {
        let rest = &mut payload;
        let argv = (0..take_count(rest)?).map(|_| take(rest)).collect::<Option<Vec<_>>>()?;
        let env = (0..take_count(rest)?)
            .map(|_| Some((take(rest)?, take(rest)?)))
            .collect::<Option<Vec<_>>>()?;
        let run = Self { argv, env, directory: take(rest)?, stdin: take(rest)? };
        (rest.is_empty() && !run.argv.is_empty()).then_some(run)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let (count, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u32::from_le_bytes(*count) as usize)
}

fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = take_count(rest)?;
    let (bytes, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(bytes.to_vec())
}

fn number(payload: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(payload.try_into().ok()?))
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
