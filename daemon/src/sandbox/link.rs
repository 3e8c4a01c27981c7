//! What the two processes say to each other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use coherence::watch::Privilege;
use parking_lot::Mutex;
use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::borrow;

/// Most descriptors in one message.
const MAX_FDS: usize = 2;

/// What the inside may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Map the ids of the process, which has made its user namespace. Once, before anything else.
    MapIds = 1,
    /// Make the sockets, and send them. Once.
    Sockets = 2,
    /// A fanotify group.
    Group = 3,
    /// Mark the file system of the second descriptor in the group that is the first.
    Mark = 4,
}

impl Asked {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::MapIds, Self::Sockets, Self::Group, Self::Mark]
            .into_iter()
            .find(|asked| *asked as u8 == byte)
    }
}

/// One end: a socket for questions, which the inside asks and the outside answers, and one for orders to stop.
#[derive(Debug)]
pub struct Link {
    questions: Mutex<OwnedFd>,
    orders: OwnedFd,
}

pub(super) fn pair() -> io::Result<(Link, Link)> {
    let pair =
        || socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let ((our_questions, their_questions), (our_orders, their_orders)) = (pair()?, pair()?);
    let link = |questions, orders| Link { questions: Mutex::new(questions), orders };
    Ok((link(our_questions, our_orders), link(their_questions, their_orders)))
}

/// The inside's end.
impl Link {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the outside answers; `EPIPE` where it has gone.
    pub fn ask(&self, what: Asked, fds: &[BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
        // One question at a time, with its answer.
        let questions = self.questions.lock();
        send(questions.as_fd(), &[what as u8], fds)?;
        let mut answer = [0; 4];
        let (length, fds) = receive(questions.as_fd(), &mut answer)?;
        match (length, i32::from_ne_bytes(answer)) {
            (4, 0) => Ok(fds),
            (4, errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits for an order to stop. False: whoever gives orders has gone.
    ///
    /// # Errors
    /// Those of `recvmsg(2)`.
    pub fn wait_for_order(&self) -> io::Result<bool> {
        receive(self.orders.as_fd(), &mut [0; 1]).map(|(length, _)| length == 1)
    }
}

impl Privilege for Link {
    fn group(&self) -> io::Result<OwnedFd> {
        self.ask(Asked::Group, &[])?.pop().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn mark(&self, group: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()> {
        self.ask(Asked::Mark, &[group, file]).map(drop)
    }
}

/// The outside's end.
impl Link {
    /// The next question. None: there are no more, for the inside has ended.
    pub(super) fn question(&self) -> io::Result<Option<(Option<Asked>, Vec<OwnedFd>)>> {
        let mut what = [0; 1];
        let (length, fds) = receive(self.questions.lock().as_fd(), &mut what)?;
        Ok((length != 0).then(|| (Asked::from_byte(what[0]), fds)))
    }

    pub(super) fn answer(&self, result: io::Result<Vec<OwnedFd>>) -> io::Result<()> {
        let (errno, fds) = match result {
            Ok(fds) => (0, fds),
            Err(error) => (error.raw_os_error().unwrap_or(libc::EIO), Vec::new()),
        };
        send(self.questions.lock().as_fd(), &errno.to_ne_bytes(), &borrow(&fds))
    }

    pub(super) fn order_to_stop(&self) -> io::Result<()> {
        send(self.orders.as_fd(), &[1], &[])
    }

    /// Readable when there is a question.
    pub(super) fn questions(&self) -> io::Result<OwnedFd> {
        self.questions.lock().try_clone()
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let bytes = [io::IoSlice::new(bytes)];
    retry_on_intr(|| sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [io::IoSliceMut::new(bytes)];
    let message =
        retry_on_intr(|| recvmsg(socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC))?;
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = part {
            fds.extend(more);
        }
    }
    Ok((message.bytes, fds))
}
