//! Garbage on the vhost-user socket.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use fastrand::Rng;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::pipe;

/// A few connections; returns how many.
pub(super) fn connect_and_send(socket: &Path, rng: &mut Rng) -> u64 {
    let connections = rng.u64(1..20);
    for _ in 0..connections {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_nonblocking(true).unwrap();
        send_some(&stream, rng);
    }
    connections
}

/// Some messages, until the daemon hangs up because it has heard enough, or reads no more for the moment. The connection
/// may be one whose device works.
pub(super) fn send_some(mut stream: &UnixStream, rng: &mut Rng) {
    for _ in 0..rng.usize(1..30) {
        if send(stream, rng).is_err() {
            break;
        }
        let _ = stream.read(&mut [0; 4096]);
    }
}

fn send(stream: &UnixStream, rng: &mut Rng) -> rustix::io::Result<usize> {
    let message = message(rng);
    let descriptors: Vec<OwnedFd> = (0..rng.usize(0..4)).map(|_| descriptor(rng)).collect();
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    }
    sendmsg(stream, &[IoSlice::new(&message)], &mut ancillary, SendFlags::NOSIGNAL)
}

/// A header (request, flags, size) and a body, each as it should be or not.
fn message(rng: &mut Rng) -> Vec<u8> {
    // A set-up goes through these in order; any of them may come at any time.
    let set_up = [3, 1, 15, 16, 2, 5, 8, 10, 9, 13, 14, 12, 18, 24, 21, 37, 38];
    let request: u32 = if rng.bool() { *rng.choice(&set_up).unwrap() } else { rng.u32(0..60) };
    let words = rng.usize(0..40);
    let body: Vec<u8> = (0..words).flat_map(|_| word(rng).to_le_bytes()).collect();
    let size = if rng.u8(..) < 230 { body.len() as u32 } else { rng.u32(..) };
    let flags = if rng.u8(..) < 240 { 1 | rng.u32(0..2) << 3 } else { rng.u32(..) };
    [&request.to_le_bytes()[..], &flags.to_le_bytes(), &size.to_le_bytes(), &body].concat()
}

fn word(rng: &mut Rng) -> u64 {
    match rng.u8(0..6) {
        0 => 0,
        1 => rng.u64(0..20),
        2 => 0x1000 * rng.u64(0..0x1000),
        3 => u64::MAX - rng.u64(0..0x10_000),
        4 => 1 << rng.u32(0..64),
        _ => rng.u64(..),
    }
}

fn descriptor(rng: &mut Rng) -> OwnedFd {
    match rng.u8(0..6) {
        0 => eventfd(0, EventfdFlags::NONBLOCK).unwrap(),
        1 => eventfd(7, EventfdFlags::empty()).unwrap(),
        2 => {
            let file = memfd_create("garbage", MemfdFlags::CLOEXEC).unwrap();
            ftruncate(&file, rng.u64(0..1 << 22)).unwrap();
            file
        }
        3 => pipe().unwrap().0,
        4 => File::open("/dev/null").unwrap().into(),
        _ => UnixStream::pair().unwrap().0.into(),
    }
}
