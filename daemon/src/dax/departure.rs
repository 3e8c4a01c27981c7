//! From the VMM's answer until what it has taken away is gone.
//!
//! QEMU 11.1 answers first and does it then. Its virtual processors drop a page later still, and only then is it unmapped
//! (`docs/adr/0055-gone-is-gone.md`).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fuse::errno;

use super::Footprint;

/// How long whoever cuts the file waits at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between looks, from the first to the last. QEMU takes some ten milliseconds.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// Pages of a file that the VMM has been asked to take away.
pub(super) struct Departure {
    pub(super) file: Arc<OwnedFd>,
    /// The first byte that goes.
    pub(super) from: u64,
    /// None: of a process that is not known.
    pub(super) footprint: Option<Arc<dyn Footprint>>,
}

impl Departure {
    /// Waits until the VMM can touch none of them any more.
    ///
    /// # Errors
    /// It still can after ten seconds, or nobody may look.
    pub(super) fn wait(self) -> io::Result<()> {
        let footprint =
            self.footprint.as_ref().ok_or_else(|| blind(&"its process is not known"))?;
        let (mut pause, begin) = (PAUSES[0], Instant::now());
        while footprint.reaches(self.file.as_fd(), self.from).map_err(|error| blind(&error))? {
            if begin.elapsed() > PATIENCE {
                return Err(errno::error(libc::EBUSY));
            }
            thread::sleep(pause);
            pause = PAUSES[1].min(2 * pause);
        }
        Ok(())
    }
}

fn blind(why: &dyn fmt::Display) -> io::Error {
    io::Error::other(format!(
        "nobody can see whether it has ({why}); run samepaged as the user that the VMM runs as, or with CAP_SYS_PTRACE"
    ))
}
