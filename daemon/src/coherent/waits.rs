//! Owners of locks who wait, as the daemons of a table tell each other.

use std::io;
use std::sync::Arc;

use coherence::{Engine, FileNumber, WaitNote};
use fuse::errno;

use crate::passthrough::{Elsewhere, Noted, Stretch, Waiting};

/// The table's daemons.
#[derive(Debug)]
pub(super) struct Waits(pub(super) Arc<Engine>);

impl Elsewhere for Waits {
    fn begin(&self, waiting: &Waiting) -> io::Result<Box<dyn Noted>> {
        let note = self.0.note_wait(&translated(waiting));
        let note = note.map_err(|_| errno::error(errno::EDEADLK))?;
        Ok(Box::new(Note(note)))
    }
}

#[derive(Debug)]
struct Note(WaitNote);

impl Noted for Note {
    fn renew(&self, waiting: &Waiting) {
        self.0.renew(&translated(waiting));
    }
}

fn translated(waiting: &Waiting) -> coherence::Waiting {
    coherence::Waiting {
        owner: waiting.owner,
        wanted: stretch(&waiting.wanted),
        held: waiting.held.iter().map(stretch).collect(),
    }
}

fn stretch(stretch: &Stretch) -> coherence::Stretch {
    let Stretch { device, inode, start, end, write } = *stretch;
    coherence::Stretch { file: FileNumber { device, inode }, start, end, write }
}
