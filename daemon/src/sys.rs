//! System calls that rustix does not wrap.
//!
//! All `unsafe` code of the file system lives here; each function is safe to call.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// The longest file handle there is (`MAX_HANDLE_SZ` in `include/linux/exportfs.h`).
pub(crate) const MAX_HANDLE_SIZE: usize = 128;

/// `struct file_handle` with room for the longest one.
#[repr(C)]
pub(crate) struct RawFileHandle {
    handle_bytes: u32,
    handle_type: i32,
    f_handle: [u8; MAX_HANDLE_SIZE],
}

impl RawFileHandle {
    /// A handle of type `kind`; none where `bytes` are more than a handle can have.
    pub(crate) fn new(kind: i32, bytes: &[u8]) -> Option<Self> {
        let mut f_handle = [0; MAX_HANDLE_SIZE];
        f_handle.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { handle_bytes: bytes.len() as u32, handle_type: kind, f_handle })
    }

    /// `handle_type`: how the file system reads its bytes.
    pub(crate) fn kind(&self) -> i32 {
        self.handle_type
    }

    /// The bytes that are in use.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.f_handle[..MAX_HANDLE_SIZE.min(self.handle_bytes as usize)]
    }
}

/// `name_to_handle_at(2)`: the file handle of `name` in `dir`, whose last component is not followed, and the id of the
/// mount that it lies on (the one that `statx(2)` calls `stx_mnt_id`). An empty name is `dir` itself.
///
/// # Errors
/// `EOPNOTSUPP` or `EOVERFLOW` where the file system has no handles.
pub(crate) fn name_to_handle_at(
    dir: BorrowedFd<'_>,
    name: &CStr,
) -> io::Result<(RawFileHandle, u64)> {
    let mut handle = RawFileHandle {
        handle_bytes: MAX_HANDLE_SIZE as u32,
        handle_type: 0,
        f_handle: [0; MAX_HANDLE_SIZE],
    };
    let mut mount_id: libc::c_int = 0;
    let flags = if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    // SAFETY: `name` ends with NUL; `handle` is a `struct file_handle` that has the `handle_bytes` bytes it claims, and
    // it and `mount_id` outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            dir.as_raw_fd(),
            name.as_ptr(),
            &raw mut handle,
            &raw mut mount_id,
            flags,
        )
    };
    check(result)?;
    Ok((handle, mount_id as u64))
}

/// `open_by_handle_at(2)`: opens what `handle` means on the file system that `mount` lies on.
///
/// # Errors
/// `ESTALE` where the file is gone; `EPERM` without `CAP_DAC_READ_SEARCH`.
pub(crate) fn open_by_handle_at(
    mount: BorrowedFd<'_>,
    handle: &RawFileHandle,
    flags: libc::c_int,
) -> io::Result<OwnedFd> {
    // SAFETY: `handle` is a `struct file_handle` with at least `handle_bytes` bytes; the kernel only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            std::ptr::from_ref(handle),
            flags,
        )
    };
    let fd = check(result)? as i32;
    // SAFETY: the call has just opened `fd`, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `getdents64(2)`: fills `buf` with as many `struct linux_dirent64` as fit; returns their length, 0 at the end.
///
/// # Errors
/// `EINVAL` where not even one fits.
pub(crate) fn getdents64(dir: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buf.len()` bytes to `buf`.
    let result = unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buf.as_mut_ptr(), buf.len())
    };
    check(result).map(|length| length as usize)
}

/// `close(2)`, with its error: some file systems tell only here that earlier writes were lost.
///
/// # Errors
/// What the file system's flush answers. The descriptor is closed all the same.
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is ours, and nobody uses it after this.
    let result = unsafe { libc::close(fd.into_raw_fd()) };
    check(result.into()).map(drop)
}

/// `struct fsxattr`: extended flags, extent size hint and project of a file.
pub(crate) type FsXattr = [u8; 28];

/// `ioctl(FS_IOC_FSGETXATTR)`.
///
/// # Errors
/// `ENOTTY` or `EOPNOTSUPP` where the file system has no such flags.
pub(crate) fn get_fsxattr(file: BorrowedFd<'_>) -> io::Result<FsXattr> {
    let mut attributes: FsXattr = [0; 28];
    // SAFETY: FS_IOC_FSGETXATTR writes one `struct fsxattr`, 28 bytes.
    let result =
        unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSGETXATTR, attributes.as_mut_ptr()) };
    check(result.into())?;
    Ok(attributes)
}

/// `ioctl(FS_IOC_FSSETXATTR)`.
///
/// # Errors
/// As [`get_fsxattr`]; `EPERM` for flags that need privileges.
pub(crate) fn set_fsxattr(file: BorrowedFd<'_>, attributes: &FsXattr) -> io::Result<()> {
    // SAFETY: FS_IOC_FSSETXATTR reads one `struct fsxattr`, 28 bytes.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSSETXATTR, attributes.as_ptr()) };
    check(result.into()).map(drop)
}

/// `f_fsid`, in whose place fanotify reports the same two numbers. rustix keeps them to itself.
pub(crate) fn fsid(statfs: &rustix::fs::StatFs) -> [i32; 2] {
    // SAFETY: the kernel's `fsid_t` is a structure of two `int`s (`include/uapi/asm-generic/posix_types.h`), and any
    // bits are an `int`.
    unsafe { std::mem::transmute::<rustix::fs::Fsid, [i32; 2]>(statfs.f_fsid) }
}

/// `unshare(CLONE_FS)`: gives the calling thread a umask and a working directory of its own.
///
/// # Errors
/// Where a seccomp filter denies it.
pub(crate) fn unshare_fs() -> io::Result<()> {
    // SAFETY: unlike its other flags, CLONE_FS touches neither descriptors nor memory.
    let result = unsafe { libc::unshare(libc::CLONE_FS) };
    check(result.into()).map(drop)
}

/// The signal that wakes a thread out of a system call, and does nothing else. One of the real-time signals, which
/// nobody else uses here.
fn wake_signal() -> libc::c_int {
    libc::SIGRTMIN() + 5
}

/// Lets [`wake`] end blocking system calls with `EINTR`.
///
/// # Errors
/// Where a seccomp filter denies it.
pub(crate) fn prepare_wake() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zeros are a `struct sigaction`: no flags (in particular no SA_RESTART) and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler does nothing, which is safe at any moment; the old action is not asked for.
    let result = unsafe { libc::sigaction(wake_signal(), &raw const action, std::ptr::null_mut()) };
    check(result.into()).map(drop)
}

/// A thread that can be woken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread(libc::pid_t);

impl Thread {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        // SAFETY: it has no preconditions.
        Self(unsafe { libc::gettid() })
    }

    /// Interrupts the system call that the thread is in, if it is in one. Should the thread have ended, and another of
    /// this process have its number, that one is interrupted for nothing.
    pub(crate) fn wake(self) {
        let process = std::process::id() as libc::pid_t;
        // SAFETY: a signal to a thread of this process. `prepare_wake` has given it a handler, which does nothing. A
        // thread that is gone is ESRCH, which is as good.
        unsafe { libc::syscall(libc::SYS_tgkill, process, self.0, wake_signal()) };
    }
}

/// Gives memory that was freed back to the system. The C library's allocator keeps it otherwise.
pub(crate) fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it only touches memory that the allocator owns and nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
}

// `include/uapi/linux/fs.h`: _IOR('X', 31, struct fsxattr) and _IOW('X', 32, struct fsxattr).
const FS_IOC_FSGETXATTR: libc::Ioctl = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::Ioctl = 0x401c_5820;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A page of a file, mapped, that nobody can touch: only to see what the kernel says of it.
pub(crate) struct UntouchedPage(*mut std::ffi::c_void);

/// Bytes that are mapped; a whole page, whatever its size.
const SOME: usize = 1;

impl UntouchedPage {
    /// The first page of a regular file, which need not have one.
    ///
    /// # Errors
    /// Those of `mmap(2)`; `EINVAL` for what is no regular file.
    pub(crate) fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        use rustix::fs::FileType;
        use rustix::mm::{MapFlags, ProtFlags, mmap};

        // Of a device, mapping might mean anything.
        let mode = rustix::fs::fstat(file)?.st_mode;
        if FileType::from_raw_mode(mode) != FileType::RegularFile {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let (none, shared) = (ProtFlags::empty(), MapFlags::SHARED);
        // SAFETY: a new mapping takes nothing's place.
        let address = unsafe { mmap(std::ptr::null_mut(), SOME, none, shared, file, 0) }?;
        Ok(Self(address))
    }

    pub(crate) fn address(&self) -> u64 {
        self.0.addr() as u64
    }
}

impl Drop for UntouchedPage {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no reference into it was ever made.
        let _ = unsafe { rustix::mm::munmap(self.0, SOME) };
    }
}
