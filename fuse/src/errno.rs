//! Linux error numbers, which are part of the wire format (x86-64 and arm64 agree on all of these).

use std::io;

/// An `io::Error` that carries `errno`.
#[must_use]
pub fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// The error number that a guest gets for `error`: what the operating system said, else `EIO`.
///
/// Linux takes only 1 to 511; the numbers above are the kernel's own and never leave it.
#[must_use]
pub fn number(error: &io::Error) -> i32 {
    match error.raw_os_error() {
        Some(errno @ 1..=511) => errno,
        _ => EIO,
    }
}

macro_rules! errnos {
    ($($name:ident = $value:literal),* $(,)?) => { $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: i32 = $value;)* };
}

errnos! {
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, E2BIG = 7, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EEXIST = 17,
    ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENOTTY = 25, ENOSPC = 28, EROFS = 30, ERANGE = 34, EDEADLK = 35, ENAMETOOLONG = 36, ENOLCK = 37,
    ENOSYS = 38, ENODATA = 61, EPROTO = 71, EOVERFLOW = 75, EOPNOTSUPP = 95, ESTALE = 116,
}

#[cfg(test)]
#[path = "errno_tests.rs"]
mod tests;
