use shm_layout::word::Ordering::{Relaxed, SeqCst};

use super::*;

fn file_of(len: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    file
}

#[test]
fn two_mappings_of_a_file_show_the_same_words() {
    let file = file_of(8192);
    let (a, b) = (Region::map(&file, 8192).unwrap(), Region::map_read_only(&file, 8192).unwrap());
    a.words()[1023].store(7, Relaxed);
    assert_eq!(b.words()[1023].load(Relaxed), 7);
    assert_eq!(a.words().len(), 1024);
    assert!(!a.is_lost() && !b.is_lost());
}

#[test]
fn a_file_cut_short_reads_as_zero_and_is_lost() {
    let file = file_of(8192);
    let (cut, other) =
        (Region::map(&file, 8192).unwrap(), Region::map(&file_of(4096), 4096).unwrap());
    cut.words()[600].store(7, Relaxed);
    file.set_len(4096).unwrap();
    assert!(!cut.is_lost());
    assert_eq!(cut.words()[600].load(Relaxed), 0);
    assert!(cut.is_lost() && !other.is_lost());
    // What is there is still there, and the rest can be written without harm.
    cut.words()[601].fetch_add(5, SeqCst);
    assert_eq!((cut.words()[0].load(Relaxed), cut.words()[601].load(Relaxed)), (0, 5));
}

#[test]
fn a_place_in_the_guard_is_used_again() {
    let file = file_of(4096);
    for _ in 0..3000 {
        Region::map(&file, 4096).unwrap();
    }
}
