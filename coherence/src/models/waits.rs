//! Owners of locks who wait for each other.

use loom::sync::Arc;
use loom::thread;
use shm_layout::SharedU64;

use super::Model;
use super::kit::promise;
use crate::cuts::FileNumber;
use crate::mutation::Rule;
use crate::waits::{NOTE_WORDS, Notes, Sight, Stretch, Waiting, closes_circle};

pub(super) fn models() -> Vec<Model> {
    vec![
        Model::new("circle", "of those who close a circle at once, one sees it", circle)
            .preemptions(2)
            .breaking(&[Rule::NoteFence]),
        Model::new("note", "a note is read whole or not at all", note)
            .preemptions(3)
            .breaking(&[Rule::NoteUnmarked]),
    ]
}

/// Wants what the other of two owners has: bytes 0 and 1 of a file.
fn waiting(has: u64) -> Waiting {
    let file = FileNumber { device: 0, inode: 0 };
    let byte = |at| Stretch { file, start: at, end: at, write: true };
    Waiting { owner: has, wanted: byte(1 - has), held: vec![byte(has)] }
}

fn rows(count: usize) -> Arc<Vec<Vec<SharedU64>>> {
    let row = || (0..NOTE_WORDS).map(|_| SharedU64::new(0)).collect();
    Arc::new((0..count).map(|_| row()).collect())
}

/// Two daemons, each with a note of its own.
fn circle(_: u32) {
    let rows = rows(2);
    let wait = |rows: &[Vec<SharedU64>], own: usize| {
        let mine = waiting(own as u64);
        Notes(&rows[own]).write(0, &mine);
        closes_circle(own, &mine, || {
            let read = |row: usize| {
                let (turn, waiting) = Notes(&rows[row]).read(0)?;
                Some(Sight { row, place: 0, turn, waiting })
            };
            (0..rows.len()).filter_map(read).collect()
        })
    };
    let others = Arc::clone(&rows);
    let other = thread::spawn(move || wait(&others, 1));
    let mine = wait(&rows, 0);
    promise(other.join().unwrap() || mine, "both wait for each other");
}

/// Somebody reads while one wait is followed by another.
fn note(_: u32) {
    let rows = rows(1);
    Notes(&rows[0]).write(0, &waiting(0));
    let reads = Arc::clone(&rows);
    let reader = thread::spawn(move || Notes(&reads[0]).read(0));
    Notes(&rows[0]).write(0, &waiting(1));
    let seen = reader.join().unwrap();
    promise(
        seen.is_none_or(|(_, seen)| seen == waiting(0) || seen == waiting(1)),
        "halves of two notes",
    );
}
