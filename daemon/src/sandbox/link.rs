//! What the two processes say to each other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use coherence::Outlook;
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
    /// Which process is at the other end of a socket.
    Peer = 5,
    /// Whether a process has ended.
    Ended = 6,
    /// Whether the process that has connected last has a file mapped, from a byte on.
    Reaches = 7,
}

/// A process as it is known outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outsider {
    /// Its pid there.
    pub pid: i32,
    /// The clock tick since boot at which it began.
    pub started: u64,
}

/// Bytes of an [`Outsider`].
const OUTSIDER: usize = 12;

/// Bytes of a question: what, about whom, from which byte of a file.
const QUESTION: usize = 1 + OUTSIDER + size_of::<u64>();

impl Outsider {
    fn encode(self) -> [u8; OUTSIDER] {
        let mut bytes = [0; OUTSIDER];
        let (pid, started) = bytes.split_at_mut(4);
        pid.copy_from_slice(&self.pid.to_ne_bytes());
        started.copy_from_slice(&self.started.to_ne_bytes());
        bytes
    }

    fn decode(bytes: [u8; OUTSIDER]) -> Self {
        let [a, b, c, d, started @ ..] = bytes;
        Self { pid: i32::from_ne_bytes([a, b, c, d]), started: u64::from_ne_bytes(started) }
    }
}

/// A question as the outside gets it.
#[derive(Debug)]
pub(super) struct Question {
    /// None: there is no such question.
    pub(super) asked: Option<Asked>,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) about: Outsider,
    pub(super) from: u64,
}

/// What is answered where nothing went wrong.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) fds: Vec<OwnedFd>,
    pub(super) process: Outsider,
}

impl Asked {
    fn from_byte(byte: u8) -> Option<Self> {
        use Asked::{Ended, Group, MapIds, Mark, Peer, Reaches, Sockets};
        [MapIds, Sockets, Group, Mark, Peer, Ended, Reaches]
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
        Ok(self.ask_about(what, fds, (Outsider::default(), 0))?.fds)
    }

    /// Which process is at the other end of a socket; with it, what becomes readable when that ends.
    ///
    /// # Errors
    /// As for [`Self::ask`]; it has gone.
    pub fn peer(&self, socket: BorrowedFd<'_>) -> io::Result<(Outsider, OwnedFd)> {
        let Answer { fds, process } =
            self.ask_about(Asked::Peer, &[socket], (Outsider::default(), 0))?;
        let [pidfd] = <[OwnedFd; 1]>::try_from(fds).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok((process, pidfd))
    }

    /// Whether the process that has connected last has any byte of `file` mapped from byte `from` on.
    ///
    /// # Errors
    /// As for [`Self::ask`]; nobody may look.
    pub fn reaches(&self, who: Outsider, file: BorrowedFd<'_>, from: u64) -> io::Result<bool> {
        match self.ask_about(Asked::Reaches, &[file], (who, from)) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(true),
            answer => answer.map(|_| false),
        }
    }

    /// Whether [`Self::reaches`] can be told of the process that has connected last.
    ///
    /// # Errors
    /// Why not.
    pub fn sees(&self, who: Outsider) -> io::Result<()> {
        self.ask_about(Asked::Reaches, &[], (who, 0)).map(drop)
    }

    fn ask_about(
        &self,
        what: Asked,
        fds: &[BorrowedFd<'_>],
        (about, from): (Outsider, u64),
    ) -> io::Result<Answer> {
        // One question at a time, with its answer.
        let questions = self.questions.lock();
        let mut question = [what as u8; QUESTION];
        let (process, offset) = question[1..].split_at_mut(OUTSIDER);
        process.copy_from_slice(&about.encode());
        offset.copy_from_slice(&from.to_ne_bytes());
        send(questions.as_fd(), &question, fds)?;
        let mut answer = [0; 4 + OUTSIDER];
        let (length, fds) = receive(questions.as_fd(), &mut answer)?;
        let [a, b, c, d, process @ ..] = answer;
        match i32::from_ne_bytes([a, b, c, d]) {
            _ if length != answer.len() => Err(io::ErrorKind::BrokenPipe.into()),
            0 => Ok(Answer { fds, process: Outsider::decode(process) }),
            errno => Err(io::Error::from_raw_os_error(errno)),
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

impl Outlook for Link {
    fn has_ended(&self, pid: i32, started: u64) -> bool {
        self.ask_about(Asked::Ended, &[], (Outsider { pid, started }, 0)).is_ok()
    }
}

/// The outside's end.
impl Link {
    /// The next question. None: there are no more, for the inside has ended.
    pub(super) fn question(&self) -> io::Result<Option<Question>> {
        let mut what = [0; QUESTION];
        let (length, fds) = receive(self.questions.lock().as_fd(), &mut what)?;
        let [byte, rest @ ..] = what;
        let asked = Asked::from_byte(byte).filter(|_| length == what.len());
        let (mut about, mut from) = ([0; OUTSIDER], [0; size_of::<u64>()]);
        about.copy_from_slice(&rest[..OUTSIDER]);
        from.copy_from_slice(&rest[OUTSIDER..]);
        let (about, from) = (Outsider::decode(about), u64::from_ne_bytes(from));
        Ok((length != 0).then_some(Question { asked, fds, about, from }))
    }

    pub(super) fn answer(&self, result: io::Result<Answer>) -> io::Result<()> {
        let (errno, answer) = match result {
            Ok(answer) => (0, answer),
            Err(error) => (error.raw_os_error().unwrap_or(libc::EIO), Answer::default()),
        };
        let mut bytes = [0; 4 + OUTSIDER];
        let (number, process) = bytes.split_at_mut(4);
        number.copy_from_slice(&i32::to_ne_bytes(errno));
        process.copy_from_slice(&answer.process.encode());
        send(self.questions.lock().as_fd(), &bytes, &borrow(&answer.fds))
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
