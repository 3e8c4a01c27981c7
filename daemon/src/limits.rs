//! How many descriptors the daemon may have open.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::StartError;

/// What is asked for where the user does not say.
pub const DEFAULT: u64 = 1_000_000;

/// The daemon's own needs: guest memory (up to 509 regions), sockets, events, some room.
const OWN: u64 = 700;

/// Sets the limit (`None`: the default, `Some(0)`: leaves it) and returns it.
///
/// # Errors
/// Where `wanted` is more than the system allows or less than the daemon needs.
pub fn set_descriptors(wanted: Option<u64>) -> Result<u64, StartError> {
    let limit = match wanted {
        Some(0) => current(),
        Some(wanted) => set(wanted).map_err(|error| explain(wanted, &error))?,
        None => raise(),
    };
    if limit < OWN {
        let wanted = wanted.unwrap_or(limit);
        let reason = format!("too few; the daemon itself needs {OWN}");
        return Err(StartError::DescriptorLimit { wanted, reason });
    }
    Ok(limit)
}

/// The soft limit.
fn current() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn set(limit: u64) -> io::Result<u64> {
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    Ok(limit)
}

/// The default, as near as the system lets us come.
fn raise() -> u64 {
    let limits = getrlimit(Resource::Nofile);
    if current() >= DEFAULT {
        return current();
    }
    let target = DEFAULT.min(system_maximum().unwrap_or(DEFAULT));
    if let Ok(limit) = set(target) {
        return limit;
    }
    let hard = limits.maximum.unwrap_or(u64::MAX).min(target);
    // An unprivileged process may raise its soft limit to the hard one; if not even that, what is set has to do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: limits.maximum });
    current()
}

fn explain(wanted: u64, error: &io::Error) -> StartError {
    let reason = match system_maximum() {
        Some(maximum) if wanted > maximum => {
            format!("more than /proc/sys/fs/nr_open allows ({maximum}); ask for less or raise that")
        }
        _ => format!("{error}; ask for no more than the hard limit (ulimit -Hn), or run as root"),
    };
    StartError::DescriptorLimit { wanted, reason }
}

fn system_maximum() -> Option<u64> {
    fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}
