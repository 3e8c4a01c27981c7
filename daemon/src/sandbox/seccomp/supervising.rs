//! The system calls of the process outside, which has the daemon's place in the host's file system and, as root, the right to
//! mark file systems.
//!
//! It waits, answers questions, and in the end removes what has a path. It starts nothing, neither programs nor threads,
//! opens nothing for writing, and signals nobody but the process that it has started.

use std::io;

use libc::c_long;
use nix::unistd::Pid;

use super::{PR_GET_AUXV, PR_SET_VMA, Rules, Seccomp, SeccompAction, apply, one_of, without};

/// Calls with any arguments.
#[rustfmt::skip]
const PLAIN: &[c_long] = &[
    // Memory.
    libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise,
    // Itself, and the end of the process inside.
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_futex, libc::SYS_gettid, libc::SYS_getpid, libc::SYS_sched_yield,
    libc::SYS_clock_gettime, libc::SYS_gettimeofday, libc::SYS_restart_syscall, libc::SYS_getrandom, libc::SYS_wait4,
    libc::SYS_waitid,
    // Signals. tgkill: to abort.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack, libc::SYS_tgkill,
    // Descriptors, and the link to the process inside.
    libc::SYS_read, libc::SYS_write, libc::SYS_writev, libc::SYS_lseek, libc::SYS_close, libc::SYS_fcntl, libc::SYS_ppoll,
    libc::SYS_recvmsg, libc::SYS_sendmsg, libc::SYS_recvfrom, libc::SYS_sendto, libc::SYS_fstat, libc::SYS_statx,
    libc::SYS_newfstatat,
    // Its answers: who has connected, and marks.
    libc::SYS_getsockopt, libc::SYS_pidfd_open, libc::SYS_fanotify_init, libc::SYS_fanotify_mark,
    // In the end.
    libc::SYS_unlinkat, libc::SYS_flock, libc::SYS_shutdown,
    // The system's logger may have to be connected to again.
    libc::SYS_connect,
];

/// As other architectures' calls of the same meaning, which have no numbers of their own there.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[libc::SYS_poll, libc::SYS_unlink];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// Filters the calling thread, whose only child is `child`. Needs `no_new_privs`.
///
/// # Errors
/// Where the kernel has no filters.
pub(in crate::sandbox) fn filter(action: Seccomp, child: Pid) -> io::Result<()> {
    let Some(action) = action.otherwise() else { return Ok(()) };
    apply(rules(child)?, action, SeccompAction::Allow)
}

fn rules(child: Pid) -> io::Result<Rules> {
    let mut rules: Rules = PLAIN.iter().chain(OLD).map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_mmap, vec![without(2, libc::PROT_EXEC)?]);
    rules.insert(libc::SYS_mprotect, vec![without(2, libc::PROT_EXEC)?]);
    rules.insert(libc::SYS_openat, vec![without(2, libc::O_ACCMODE | libc::O_CREAT)?]);
    rules.insert(libc::SYS_kill, one_of(0, &[child.as_raw() as u64])?);
    rules.insert(libc::SYS_prctl, one_of(0, &[PR_SET_VMA, PR_GET_AUXV])?);
    rules.insert(libc::SYS_socket, one_of(0, &[libc::AF_UNIX as u64])?);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;
    use nix::sys::wait::WaitStatus;

    use super::super::tests::end_under;
    use super::*;

    /// Its child is itself: there is no other process that it could signal and that is surely there.
    fn end_of(number: c_long, arguments: [usize; 3]) -> WaitStatus {
        end_under(|| filter(Seccomp::Kill, Pid::this()), number, arguments)
    }

    #[test]
    fn what_supervising_does_not_take_ends_the_process() {
        let (here, name) = (libc::AT_FDCWD as usize, c"/".as_ptr() as usize);
        for (call, arguments) in [
            (libc::SYS_execve, [0, 0, 0]),
            (libc::SYS_ptrace, [0, 0, 0]),
            (libc::SYS_mount, [0, 0, 0]),
            (libc::SYS_setns, [0, 0, 0]),
            (libc::SYS_unshare, [0, 0, 0]),
            (libc::SYS_bpf, [0, 0, 0]),
            (libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0]),
            (libc::SYS_clone3, [0, 0, 0]),
            (libc::SYS_renameat2, [0, 0, 0]),
            (libc::SYS_fchmodat, [0, 0, 0]),
            (libc::SYS_open_by_handle_at, [0, 0, 0]),
            (libc::SYS_pidfd_send_signal, [0, 0, 0]),
            (libc::SYS_openat, [here, name, libc::O_WRONLY as usize]),
            (libc::SYS_openat, [here, name, libc::O_RDWR as usize]),
            (libc::SYS_openat, [here, name, libc::O_CREAT as usize]),
            (libc::SYS_kill, [1, 0, 0]),
            (libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0]),
            (libc::SYS_mprotect, [0, 0, libc::PROT_EXEC as usize]),
        ] {
            let end = end_of(call, arguments);
            let killed = matches!(end, WaitStatus::Signaled(_, Signal::SIGSYS, _));
            assert!(killed, "call {call} {arguments:?}: {end:?}");
        }
    }

    #[test]
    fn what_supervising_takes_does_not() {
        let (here, name) = (libc::AT_FDCWD as usize, c"/proc/self/stat".as_ptr() as usize);
        for (call, arguments) in [
            (libc::SYS_openat, [here, name, libc::O_CLOEXEC as usize]),
            (libc::SYS_pidfd_open, [1, 0, 0]),
            (libc::SYS_unlinkat, [here, 0, 0]),
            (libc::SYS_socket, [libc::AF_UNIX as usize, 0, 0]),
        ] {
            let end = end_of(call, arguments);
            assert!(matches!(end, WaitStatus::Exited(_, 0)), "call {call}: {end:?}");
        }
    }
}
