//! SIGTERM, SIGINT and SIGHUP end the daemon.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;
use tracing::info;

use crate::sandbox::Link;
use crate::transport::Stopper;

/// Exit status after a second signal, which does not wait for requests in progress.
const IMPATIENT: i32 = 1;

/// Lets the first signal stop the service and a second one the process.
///
/// # Errors
/// Where the handlers or the thread cannot be had.
pub fn watch(stopper: Arc<Stopper>) -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        // In this order: the first signal finds the flag down and raises it, the second finds it up.
        flag::register_conditional_shutdown(signal, IMPATIENT, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
    }
    survive_file_size_limit()?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            info!("{}: stopping", signal_name(signal).unwrap_or("signal"));
            stopper.stop();
        }
    })?;
    Ok(())
}

/// As [`watch`], for a process whose signals another one gets, which passes them on as orders.
///
/// # Errors
/// Where the handler or the thread cannot be had.
pub fn obey(link: Arc<Link>, stopper: Arc<Stopper>) -> io::Result<()> {
    survive_file_size_limit()?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut asked = false;
        // An answer of false or an error: nobody is left to stop this process properly, or to remove its socket.
        while link.wait_for_order().unwrap_or(false) {
            if asked {
                std::process::exit(IMPATIENT);
            }
            info!("told to stop: stopping");
            asked = true;
            stopper.stop();
        }
        std::process::exit(IMPATIENT);
    })?;
    Ok(())
}

/// A guest that writes beyond the daemon's file size limit gets EFBIG; unhandled, the signal would kill the daemon.
fn survive_file_size_limit() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}
