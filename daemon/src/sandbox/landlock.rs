//! Landlock, where the kernel has it: on top of namespaces and the filter, and with `--sandbox none` instead of them.
//!
//! The process, if it is taken over, makes no connection and accepts none, and neither signals nor traces a process
//! outside. Its files are not Landlock's business: paths do not lead out of the share anyway, and any rule about files
//! would forbid what serving takes (docs/adr/0045-landlock.md).

use landlock::{
    AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};

/// Confines the calling thread, and those that it starts. What the kernel does not have is left out; the log says so.
pub(super) fn confine() {
    match restrict() {
        Ok(RulesetStatus::FullyEnforced) => tracing::debug!("Landlock: no network, no signals"),
        Ok(RulesetStatus::PartiallyEnforced) => {
            tracing::info!("Landlock: this kernel has part of it, which is in force");
        }
        Ok(RulesetStatus::NotEnforced) => {
            tracing::info!("Landlock: not enforced, for this kernel does not have it");
        }
        // The other measures stand without it.
        Err(error) => tracing::warn!("Landlock: not enforced: {error}"),
    }
}

fn restrict() -> Result<RulesetStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessNet::BindTcp)?
        .handle_access(AccessNet::ConnectTcp)?
        .scope(Scope::AbstractUnixSocket)?
        .scope(Scope::Signal)?;
    Ok(ruleset.create()?.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::thread;

    use rustix::process::{getppid, test_kill_process};

    use super::*;

    /// A thread's own: the others of this process go on as before.
    #[test]
    fn a_confined_thread_has_neither_network_nor_signals() {
        let confined = || {
            let status = restrict().unwrap();
            let bound = TcpListener::bind("127.0.0.1:0").map(drop).map_err(|e| e.kind());
            let signalled = getppid().map(test_kill_process);
            // What it has open, and what it starts, is as it was.
            thread::spawn(|| ()).join().unwrap();
            std::fs::read("/proc/self/stat").unwrap();
            (status, bound, signalled)
        };
        let (status, bound, signalled) = thread::spawn(confined).join().unwrap();
        match status {
            RulesetStatus::FullyEnforced => {
                assert_eq!(bound, Err(ErrorKind::PermissionDenied));
                assert_eq!(signalled, Some(Err(rustix::io::Errno::PERM)));
            }
            RulesetStatus::PartiallyEnforced => {}
            RulesetStatus::NotEnforced => {
                assert_eq!(bound, Ok(()), "as if nothing had been asked for");
            }
        }
        assert!(TcpListener::bind("127.0.0.1:0").is_ok(), "of another thread");
    }

    /// A file system's rights are not touched: above all, moving from one directory to another is allowed.
    #[test]
    fn files_are_as_before() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        std::fs::create_dir(path("a")).unwrap();
        std::fs::create_dir(path("b")).unwrap();
        std::fs::write(path("a/file"), "contents").unwrap();
        thread::scope(|scope| {
            let act = || {
                restrict().unwrap();
                std::fs::rename(path("a/file"), path("b/file")).unwrap();
                std::fs::hard_link(path("b/file"), path("a/again")).unwrap();
            };
            scope.spawn(act).join().unwrap();
        });
    }
}
