//! A socket that systemd has opened before it started the daemon (`sd_listen_fds(3)`).

use std::env;
use std::process;

use crate::cli::UsageError;

/// The first descriptor that is passed on.
const FIRST: i32 = 3;

/// The socket that was passed to this very process, if one was.
///
/// # Errors
/// Where there are several: nobody says which is for the VMM.
pub fn descriptor() -> Result<Option<i32>, UsageError> {
    let text = |name| env::var(name).ok();
    passed(text("LISTEN_PID").as_deref(), text("LISTEN_FDS").as_deref(), process::id())
}

fn passed(pid: Option<&str>, count: Option<&str>, own: u32) -> Result<Option<i32>, UsageError> {
    // Meant for another process, from which the variables were inherited.
    if pid.and_then(|pid| pid.parse().ok()) != Some(own) {
        return Ok(None);
    }
    match count.and_then(|count| count.parse::<u32>().ok()) {
        None | Some(0) => Ok(None),
        Some(1) => Ok(Some(FIRST)),
        Some(count) => Err(UsageError::new(format!(
            "LISTEN_FDS={count}: several sockets were passed; let the socket unit have one ListenStream"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_this_process_is_taken() {
        assert_eq!(passed(Some("7"), Some("1"), 7).unwrap(), Some(3));
    }

    #[test]
    fn what_is_for_others_is_left_alone() {
        assert_eq!(passed(Some("8"), Some("1"), 7).unwrap(), None);
        assert_eq!(passed(None, Some("1"), 7).unwrap(), None);
        assert_eq!(passed(Some("7"), None, 7).unwrap(), None);
        assert_eq!(passed(Some("7"), Some("0"), 7).unwrap(), None);
        assert_eq!(passed(Some("seven"), Some("x"), 7).unwrap(), None);
    }

    #[test]
    fn of_several_none_is_taken() {
        assert!(passed(Some("7"), Some("2"), 7).unwrap_err().to_string().contains("LISTEN_FDS=2"));
    }
}
