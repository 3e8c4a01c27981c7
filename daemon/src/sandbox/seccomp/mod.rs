//! `--seccomp`: the system calls that serving takes. What the process outside takes is in [`supervising`].
//!
//! Derived from what the daemon was seen to call (`strace -f` under the tests), and from what its libraries call when
//! something goes wrong. Whatever starts a program, changes namespaces or roots, traces, loads code or opens another
//! kind of socket is not among them.

pub(super) mod supervising;

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// What becomes of a thread that makes another call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// The process is ended.
    #[default]
    Kill,
    /// The call is made, and the kernel's audit log says so.
    Log,
    /// The process gets SIGSYS, which ends it.
    Trap,
    /// Nothing: there is no filter.
    None,
}

impl Seccomp {
    /// What the kernel does at a call that is not allowed; `None` where there is no filter.
    fn otherwise(self) -> Option<SeccompAction> {
        match self {
            Self::Kill => Some(SeccompAction::KillProcess),
            Self::Log => Some(SeccompAction::Log),
            Self::Trap => Some(SeccompAction::Trap),
            Self::None => None,
        }
    }
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Calls with any arguments.
#[rustfmt::skip]
const PLAIN: &[c_long] = &[
    // Memory.
    libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_membarrier,
    // Threads and time.
    libc::SYS_clone3, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq,
    libc::SYS_set_tid_address, libc::SYS_gettid, libc::SYS_getpid, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_nanosleep, libc::SYS_gettimeofday,
    libc::SYS_restart_syscall, libc::SYS_getrandom, libc::SYS_pidfd_open,
    // Signals. tgkill and the one before it: to abort.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack, libc::SYS_tgkill,
    // Descriptors.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_lseek, libc::SYS_close,
    libc::SYS_dup, libc::SYS_dup3, libc::SYS_fcntl, libc::SYS_ppoll, libc::SYS_epoll_create1, libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait, libc::SYS_eventfd2, libc::SYS_pipe2,
    // Sockets that are there.
    libc::SYS_accept4, libc::SYS_connect, libc::SYS_recvmsg, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_sendto,
    libc::SYS_shutdown, libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_getsockname, libc::SYS_getpeername,
    // Files.
    libc::SYS_openat, libc::SYS_openat2, libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at, libc::SYS_statx,
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_fstatfs, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_utimensat,
    libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_unlinkat,
    libc::SYS_renameat2, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs,
    libc::SYS_copy_file_range, libc::SYS_getdents64, libc::SYS_flock, libc::SYS_getcwd, libc::SYS_fchdir,
    libc::SYS_setxattr, libc::SYS_getxattr, libc::SYS_listxattr, libc::SYS_removexattr,
    libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch,
    // For the sandbox that is none; elsewhere without the capability.
    libc::SYS_fanotify_init, libc::SYS_fanotify_mark,
    // Acting for a user.
    libc::SYS_umask, libc::SYS_setresuid, libc::SYS_setresgid, libc::SYS_setgroups, libc::SYS_getgroups,
    libc::SYS_capget, libc::SYS_capset, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    // Limits.
    libc::SYS_prlimit64, libc::SYS_getrusage,
];

/// As other architectures' calls of the same meaning, which have no numbers of their own there.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLD: &[c_long] = &[
    libc::SYS_poll, libc::SYS_epoll_wait, libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_unlink,
    libc::SYS_time, libc::SYS_access, libc::SYS_readlink, libc::SYS_accept,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[libc::SYS_accept];

/// `PR_SET_VMA`: the C library names its heaps.
const PR_SET_VMA: u64 = 0x5356_4d41;
/// `PR_GET_AUXV`: what the kernel told this process at its start, such as the size of a page.
const PR_GET_AUXV: u64 = 0x4155_5856;

/// What is asked of terminals by whoever writes to them, and of files by guests.
const IOCTLS: &[u64] = &[
    0x5401,      // TCGETS
    0x5421,      // FIONBIO
    0x5451,      // FIOCLEX
    0x8008_6601, // FS_IOC_GETFLAGS
    0x4008_6602, // FS_IOC_SETFLAGS
    0x8004_6601, // FS_IOC32_GETFLAGS
    0x4004_6602, // FS_IOC32_SETFLAGS
    0x801c_581f, // FS_IOC_FSGETXATTR
    0x401c_5820, // FS_IOC_FSSETXATTR
];

/// Filters the calling thread and all that it starts. Needs `no_new_privs`.
///
/// # Errors
/// Where the kernel has no filters.
pub(super) fn filter(action: Seccomp) -> io::Result<()> {
    let Some(action) = action.otherwise() else { return Ok(()) };
    // The kernel takes a call's arguments of clone3 from memory, where no filter sees them. The C library goes on with
    // clone where it is told that there is no clone3.
    let without_clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    apply(without_clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    apply(rules()?, action, SeccompAction::Allow)
}

fn apply(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> io::Result<()> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, otherwise, matched, arch).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

fn rules() -> io::Result<Rules> {
    let mut rules: Rules = PLAIN.iter().chain(OLD).map(|call| (*call, Vec::new())).collect();
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![with(0, thread, thread)?]);
    // No memory is ever made a program.
    rules.insert(libc::SYS_mmap, vec![without(2, libc::PROT_EXEC)?]);
    rules.insert(libc::SYS_mprotect, vec![without(2, libc::PROT_EXEC)?]);
    rules.insert(libc::SYS_unshare, one_of(0, &[libc::CLONE_FS as u64])?);
    rules.insert(libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME as u64, PR_SET_VMA, PR_GET_AUXV])?);
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS)?);
    // The system's logger may have to be connected to again.
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(call, one_of(0, &[libc::AF_UNIX as u64])?);
    }
    Ok(rules)
}

/// Where the argument with this number is one of these values.
fn one_of(argument: u8, values: &[u64]) -> io::Result<Vec<SeccompRule>> {
    let equal = |value: &u64| when(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *value);
    values.iter().map(equal).collect()
}

/// Where the argument has none of these bits.
fn without(argument: u8, bits: i32) -> io::Result<SeccompRule> {
    with(argument, bits as u64, 0)
}

/// Where what the argument has of `bits` is `value`.
fn with(argument: u8, bits: u64, value: u64) -> io::Result<SeccompRule> {
    when(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bits), value)
}

fn when(
    argument: u8,
    len: SeccompCmpArgLen,
    op: SeccompCmpOp,
    value: u64,
) -> io::Result<SeccompRule> {
    let condition = SeccompCondition::new(argument, len, op, value).map_err(io::Error::other)?;
    SeccompRule::new(vec![condition]).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::ForkResult;

    use super::*;

    fn end_of(number: c_long, arguments: [usize; 3]) -> WaitStatus {
        end_under(|| filter(Seccomp::Kill), number, arguments)
    }

    /// What a process comes to that makes a call under a filter. 0: it went on.
    pub(super) fn end_under(
        filter: impl Fn() -> io::Result<()>,
        number: c_long,
        arguments: [usize; 3],
    ) -> WaitStatus {
        match super::super::sys::fork().unwrap() {
            ForkResult::Parent { child } => waitpid(child, None).unwrap(),
            ForkResult::Child => {
                let ready = rustix::thread::set_no_new_privs(true).is_ok() && filter().is_ok();
                if ready {
                    let [a, b, c] = arguments;
                    // SAFETY: the arguments are such that the call fails, or ends the process.
                    unsafe { libc::syscall(number, a, b, c) };
                }
                // SAFETY: ends the process without its parent's clean-up.
                unsafe { libc::_exit(if ready { 0 } else { 9 }) }
            }
        }
    }

    #[test]
    fn what_serving_does_not_take_ends_the_process() {
        let (inet, exec) = (libc::AF_INET as usize, (libc::PROT_EXEC | libc::PROT_READ) as usize);
        for (call, arguments) in [
            (libc::SYS_execve, [0, 0, 0]),
            (libc::SYS_ptrace, [0, 0, 0]),
            (libc::SYS_mount, [0, 0, 0]),
            (libc::SYS_setns, [0, 0, 0]),
            (libc::SYS_chroot, [0, 0, 0]),
            (libc::SYS_bpf, [0, 0, 0]),
            (libc::SYS_io_uring_setup, [0, 0, 0]),
            (libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0]),
            (libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0]),
            (libc::SYS_socket, [inet, libc::SOCK_STREAM as usize, 0]),
            (libc::SYS_mmap, [0, 4096, exec]),
            (libc::SYS_mprotect, [0, 0, exec]),
            (libc::SYS_ioctl, [0, libc::TIOCSTI as usize, 0]),
            (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 0, 0]),
        ] {
            let end = end_of(call, arguments);
            let killed = matches!(end, WaitStatus::Signaled(_, Signal::SIGSYS, _));
            assert!(killed, "call {call}: {end:?}");
        }
    }

    #[test]
    fn what_serving_takes_does_not() {
        for (call, arguments) in [
            (libc::SYS_getpid, [0, 0, 0]),
            (libc::SYS_unshare, [libc::CLONE_FS as usize, 0, 0]),
            (libc::SYS_socket, [libc::AF_UNIX as usize, 0, 0]),
            (libc::SYS_mprotect, [0, 0, libc::PROT_READ as usize]),
            // Answered with ENOSYS, so that the C library takes clone.
            (libc::SYS_clone3, [0, 0, 0]),
        ] {
            let end = end_of(call, arguments);
            assert!(matches!(end, WaitStatus::Exited(_, 0)), "call {call}: {end:?}");
        }
    }
}
