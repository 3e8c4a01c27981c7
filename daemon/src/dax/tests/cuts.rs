//! Files that are cut while they are mapped.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::dax::testing::vmm::{PAGES, Vmm, file, id, map, unmap, window};
use crate::dax::{Entered, FileId, Gate, PAGE, Window};

const SIZE: u64 = PAGES * PAGE;

/// The file that a page of the window shows, and which of its pages.
fn shows(vmm: &Vmm, page: u64) -> Option<(FileId, u64)> {
    vmm.at(page * PAGE).map(|(file, at)| (file, at / PAGE))
}

fn fit(window: &Window, file: &std::fs::File, pages: u64) -> bool {
    window.fit(id(file), pages * PAGE).unwrap()
}

#[test]
fn pages_beyond_the_new_end_are_other_memory() {
    let (window, vmm) = window();
    let file = file(SIZE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    assert!(fit(&window, &file, 3));
    assert_eq!(shows(&vmm, 2), Some((id(&file), 2)));
    for page in 3..PAGES {
        let (shown, at) = shows(&vmm, page).unwrap();
        assert_ne!(shown, id(&file));
        assert_eq!(at, page, "each place has memory of its own");
    }
    file.set_len(3 * PAGE).unwrap();
    window.fit_to_file(id(&file)).unwrap();
    assert_eq!(vmm.len(), 2);
    window.clear();
    assert_eq!(vmm.len(), 0);
}

#[test]
fn a_page_that_the_file_ends_in_stays() {
    let (window, vmm) = window();
    let file = file(4 * PAGE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    window.fit(id(&file), PAGE + 1).unwrap();
    file.set_len(PAGE + 1).unwrap();
    assert_eq!(shows(&vmm, 1), Some((id(&file), 1)));
    assert_ne!(shows(&vmm, 2).unwrap().0, id(&file));
    // Nothing to be told of: what there is, is mapped.
    window.follow(id(&file), PAGE + 1).unwrap();
}

#[test]
fn a_file_that_was_not_cut_is_mapped_again() {
    let (window, vmm) = window();
    let file = file(8 * PAGE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    assert!(fit(&window, &file, 0));
    assert_ne!(shows(&vmm, 0).unwrap().0, id(&file));
    window.fit_to_file(id(&file)).unwrap();
    for page in 0..8 {
        assert_eq!(shows(&vmm, page), Some((id(&file), page)));
    }
    assert_eq!(shows(&vmm, 8), None);
}

#[test]
fn a_file_that_grows_again_is_mapped_as_far_as_it_is_there() {
    let (window, vmm) = window();
    let file = file(8 * PAGE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    assert!(fit(&window, &file, 1));
    file.set_len(PAGE).unwrap();
    // Told of more than there is: another one cuts it at the same time.
    assert!(fit(&window, &file, 5));
    assert_ne!(shows(&vmm, 1).unwrap().0, id(&file));
    file.set_len(5 * PAGE).unwrap();
    assert!(fit(&window, &file, 5), "three pages are still other memory");
    assert_eq!(shows(&vmm, 4), Some((id(&file), 4)));
    assert_ne!(shows(&vmm, 5).unwrap().0, id(&file));
    file.set_len(8 * PAGE).unwrap();
    window.follow(id(&file), 8 * PAGE).unwrap();
    assert_eq!(shows(&vmm, 7), Some((id(&file), 7)));
    assert!(!fit(&window, &file, 8));
}

#[test]
fn all_stretches_of_the_file_and_no_others_are_fitted() {
    let (window, vmm) = window();
    let (cut, other) = (file(SIZE), file(SIZE));
    map(&window, &cut, (0, 0, 4 * PAGE)).unwrap();
    map(&window, &other, (0, 4 * PAGE, 4 * PAGE)).unwrap();
    map(&window, &cut, (8 * PAGE, 8 * PAGE, 4 * PAGE)).unwrap();
    assert!(fit(&window, &cut, 2));
    assert_eq!(shows(&vmm, 1), Some((id(&cut), 1)));
    assert_eq!(shows(&vmm, 4), Some((id(&other), 0)));
    assert!((2..4).chain(8..12).all(|page| shows(&vmm, page).unwrap().0 != id(&cut)));
    unmap(&window, 0, SIZE).unwrap();
    assert_eq!(vmm.len(), 0);
}

#[test]
fn a_vmm_that_does_not_let_go_is_an_error() {
    let (window, vmm) = window();
    let file = file(SIZE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    *vmm.broken.lock() = true;
    window.fit(id(&file), 0).unwrap_err();
    *vmm.broken.lock() = false;
    assert_eq!(shows(&vmm, 0), Some((id(&file), 0)));
    // Nor one that has hung up, and is not known to have ended.
    window.detach();
    window.fit(id(&file), 0).unwrap_err();
}

#[test]
fn a_file_is_not_let_go_of_before_the_vmm_can_touch_it_no_more() {
    let (window, vmm) = window();
    let file = file(8 * PAGE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    *vmm.looks.lock() = 5;
    assert!(fit(&window, &file, 3));
    assert_eq!(*vmm.looks.lock(), 0, "it was looked until it was gone");
    assert_eq!(shows(&vmm, 2), Some((id(&file), 2)));
}

#[test]
fn where_nobody_can_look_a_file_is_not_let_go_of() {
    let (window, _vmm) = window();
    let (mapped, other) = (file(8 * PAGE), file(8 * PAGE));
    map(&window, &mapped, (0, 0, SIZE)).unwrap();
    window.owned_by(None, None);
    window.fit(id(&mapped), 0).unwrap_err();
    // It stays as it is, and is mapped again.
    window.fit_to_file(id(&mapped)).unwrap();
    assert!(!window.fit(id(&other), 0).unwrap(), "of this one nothing is mapped");
}

#[test]
fn what_a_guest_cuts_itself_stays_mapped_and_may_end_anywhere() {
    let (window, vmm) = window();
    let file = file(8 * PAGE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    for size in [3 * PAGE + 1, 5 * PAGE + 2, PAGE - 1, 8 * PAGE - 1] {
        window.own_cut(id(&file));
        file.set_len(size).unwrap();
        window.shorten_to_file(id(&file)).unwrap();
        window.follow(id(&file), size).unwrap();
        assert_eq!(shows(&vmm, 7), Some((id(&file), 7)));
    }
    assert_eq!(*vmm.asked.lock(), 1);
    // Beyond what is mapped it may not.
    file.set_len(8 * PAGE + 1).unwrap();
    window.follow(id(&file), 8 * PAGE + 1).unwrap_err();
}

/// Writes down what it hears.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Vec<FileId>>>);

impl Gate for Recorder {
    fn enter(&self, file: FileId) -> std::io::Result<Entered> {
        self.0.lock().push(vec![file, file]);
        Ok(Box::new(()))
    }

    fn set_mapped(&self, files: &[FileId]) {
        self.0.lock().push(files.to_vec());
    }
}

#[test]
fn others_know_of_a_file_before_it_is_mapped_and_until_it_is_not() {
    let (window, vmm) = window();
    let recorder = Arc::new(Recorder::default());
    window.agree_with(recorder.clone());
    let (file, heard) = (file(SIZE), || std::mem::take(&mut *recorder.0.lock()));
    let name = id(&file);
    *vmm.broken.lock() = true;
    map(&window, &file, (0, 0, SIZE)).unwrap_err();
    assert_eq!(heard(), [vec![name, name], vec![name], vec![]]);
    *vmm.broken.lock() = false;
    map(&window, &file, (0, 0, SIZE)).unwrap();
    assert_eq!(heard(), [vec![name, name], vec![name], vec![name]]);
    window.clear();
    assert_eq!(heard(), [vec![]]);
}
