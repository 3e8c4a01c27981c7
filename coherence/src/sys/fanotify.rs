//! fanotify, and the file handles that it names inodes by.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The longest file handle there is (`MAX_HANDLE_SZ`).
const MAX_HANDLE: usize = 128;

/// Makes a group whose events name file handles, directories and names. Its queue has a limit.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `EINVAL` before Linux 5.17; `EMFILE` where the user has too many groups.
pub(crate) fn fanotify_init() -> io::Result<OwnedFd> {
    let flags = libc::FAN_CLASS_NOTIF
        | libc::FAN_CLOEXEC
        | libc::FAN_NONBLOCK
        | libc::FAN_REPORT_DFID_NAME_TARGET;
    // SAFETY: no pointers.
    let fd = unsafe { libc::fanotify_init(flags, libc::O_RDONLY as libc::c_uint) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just opened it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Tells `group` of the events in `mask` on the whole file system that `file` lies on.
///
/// # Errors
/// What `fanotify_mark(2)` answers; without `/proc` it cannot be done.
pub(crate) fn mark_file_system(
    group: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    mask: u64,
) -> io::Result<()> {
    // By way of /proc: descriptors that were opened with O_PATH are not taken.
    let path = CString::new(super::fd_path(file)).map_err(io::Error::other)?;
    let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
    // SAFETY: an open group, and a path that lives through the call.
    let result = unsafe {
        libc::fanotify_mark(group.as_raw_fd(), flags, mask, libc::AT_FDCWD, path.as_ptr())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `struct file_handle`, with room for the longest.
#[repr(C)]
struct RawHandle {
    bytes: u32,
    kind: i32,
    handle: [u8; MAX_HANDLE],
}

/// The type and bytes of the file handle of `file`.
///
/// # Errors
/// `EOPNOTSUPP` or `EOVERFLOW` where the file system has none.
pub(crate) fn file_handle(file: BorrowedFd<'_>) -> io::Result<(i32, Vec<u8>)> {
    let mut raw = RawHandle { bytes: MAX_HANDLE as u32, kind: 0, handle: [0; MAX_HANDLE] };
    let mut mount: libc::c_int = 0;
    // SAFETY: the name ends with NUL; `raw` is a file_handle with the room that it claims; both, and `mount`, live
    // through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            &raw mut raw,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let used = MAX_HANDLE.min(raw.bytes as usize);
    Ok((raw.kind, raw.handle[..used].to_vec()))
}

/// `f_fsid` of the file system that `file` lies on.
///
/// # Errors
/// Those of `fstatfs(2)`.
pub(crate) fn fsid(file: BorrowedFd<'_>) -> io::Result<[i32; 2]> {
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: an open descriptor, and room for one statfs, which the kernel fills.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain data, zeroed and then filled by the kernel.
    let stat = unsafe { stat.assume_init() };
    // SAFETY: `fsid_t` is two ints, which the C library hides.
    Ok(unsafe { std::mem::transmute::<libc::fsid_t, [i32; 2]>(stat.f_fsid) })
}
