//! Why a request is not answered with what it asked for.

use std::io;

use crate::errno;

/// Result of decoding a request, of serving it, and of writing its reply.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest broke the protocol. It gets `EINVAL`, and the request is counted as malformed.
    Malformed,
    /// An ordinary error number.
    Errno(i32),
    /// The guest's memory is not where the descriptors say: no reply is possible.
    Memory(io::Error),
}

/// What a file system answers. Errors of guest memory are told apart where they arise, by [`Failure::Memory`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Errno(errno::number(&error))
    }
}
