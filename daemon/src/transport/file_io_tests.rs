use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::thread;

use vm_memory::VolatileSlice;

use super::*;

/// Calls that find the file's end at these places, one after the other, and are asked for 8 bytes.
fn part_of(mut ends: impl Iterator<Item = usize>) -> (Part, usize) {
    let mut calls = 0;
    let part = read_part(|from| {
        calls += 1;
        let count = ends.next().expect("no more calls than that").min(8).saturating_sub(from);
        Ok(Call { count, asked: 8 - from })
    });
    (part.expect("no call fails"), calls)
}

#[test]
fn what_is_there_is_read_with_one_call() {
    assert_eq!(part_of([8].into_iter()), (Part { count: 8, is_last: false }, 1));
    assert_eq!(part_of([0].into_iter()), (Part { count: 0, is_last: true }, 1));
}

#[test]
fn an_end_is_asked_about() {
    assert_eq!(part_of([3, 3].into_iter()), (Part { count: 3, is_last: true }, 2));
}

#[test]
fn a_file_that_grows_is_read_anew() {
    assert_eq!(part_of([3, 8, 8].into_iter()), (Part { count: 8, is_last: false }, 3));
    assert_eq!(part_of([3, 5, 5, 7, 7, 7].into_iter()), (Part { count: 7, is_last: true }, 6));
}

#[test]
fn a_file_that_is_always_cut_short_is_read_on() {
    let (part, calls) = part_of([3, 8].into_iter().cycle());
    assert_eq!((part, calls), (Part { count: 3, is_last: false }, 2 * EARLY_ENDS));
}

#[test]
fn an_error_behind_the_first_bytes_is_an_error() {
    let failed = read_part(|from| match from {
        0 => Ok(Call { count: 3, asked: 8 }),
        _ => Err(errno::error(errno::EIO)),
    });
    assert_eq!(failed.unwrap_err().raw_os_error(), Some(errno::EIO));
}

/// With eight bytes of one value where there were three of another, all that is ever read is of one of the two.
#[test]
fn a_read_beside_a_write_that_extends_the_file_is_not_torn() {
    let place = tempfile::tempdir().expect("a directory");
    for round in 0..300 {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        let file = options.open(place.path().join(round.to_string())).expect("a new file");
        file.write_all_at(&[1; 3], 0).expect("room for three bytes");
        let together = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                together.wait();
                file.write_all_at(&[2; 8], 0).expect("room for eight bytes");
            });
            together.wait();
            while read_word(&file) != [2; 8] {}
        });
    }
}

/// What is in the first eight bytes, as a guest's request reads them.
fn read_word(file: &File) -> Vec<u8> {
    let mut memory = [0; 8];
    let mut buffers = Buffers::default();
    buffers.push(VolatileSlice::from(&mut memory[..]));
    let count = read(&buffers, 0, file.as_fd(), 8, 0).expect("it can be read");
    drop(buffers);
    let word = memory[..count].to_vec();
    assert!(word == [1; 3] || word == [2; 8], "torn: {word:?}");
    word
}
