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
    // A guest that writes beyond the daemon's file size limit gets EFBIG; unhandled, this signal would kill the daemon.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            info!("{}: stopping", signal_name(signal).unwrap_or("signal"));
            stopper.stop();
        }
    })?;
    Ok(())
}
