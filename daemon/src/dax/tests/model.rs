//! Random use, against a model that knows for each page of the window what the guest has set up there.

use std::fs::File;

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::dax::room::MAX_PIECES;
use crate::dax::testing::vmm::{PAGES, Vmm, file, id, map, unmap, window};
use crate::dax::{PAGE, Window};

const FILES: usize = 3;

/// Places and lengths in pages, sizes in bytes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Map {
        file: usize,
        from: u64,
        to: u64,
        pages: u64,
    },
    Unmap {
        at: u64,
        pages: u64,
    },
    /// A file gets another number of pages.
    Resize {
        file: usize,
        pages: u64,
    },
    Clear,
}

fn steps() -> impl Strategy<Value = Step> {
    let place = || 0..PAGES + 2;
    let pages = || prop_oneof![0..4u64, 0..PAGES + 2, Just(64)];
    prop_oneof![
        6 => (0..FILES, place(), place(), pages())
            .prop_map(|(file, from, to, pages)| Step::Map { file, from, to, pages }),
        3 => (place(), pages()).prop_map(|(at, pages)| Step::Unmap { at, pages }),
        3 => (0..FILES, place()).prop_map(|(file, pages)| Step::Resize { file, pages }),
        1 => Just(Step::Clear),
    ]
}

/// Of each page: which file, which page of it.
type Model = Vec<Option<(usize, u64)>>;

/// The guest finds what it has set up, as far as it was told that the file reaches, and never anything else.
fn check(model: &Model, files: &[File], told: &[u64], vmm: &Vmm) {
    assert!(vmm.len() <= MAX_PIECES);
    for (page, set_up) in model.iter().enumerate() {
        for byte in [0, PAGE - 1] {
            let found = vmm.at(page as u64 * PAGE + byte);
            let place = set_up.map(|(file, from)| (id(&files[file]), from * PAGE + byte));
            let exists = set_up.is_some_and(|(file, from)| from < told[file]);
            assert!(found == place || (found.is_none() && !exists), "page {page}: {found:?}");
        }
    }
}

fn take(step: Step, model: &mut Model, files: &[File], told: &mut [u64], window: &Window) {
    let fits = |at: u64, pages: u64| pages > 0 && at + pages <= PAGES;
    match step {
        Step::Map { file, from, to, pages } => {
            let done = map(window, &files[file], (from * PAGE, to * PAGE, pages * PAGE));
            assert_eq!(done.is_ok(), fits(to, pages), "{done:?}");
            if done.is_ok() {
                for page in 0..pages {
                    model[(to + page) as usize] = Some((file, from + page));
                }
            }
        }
        Step::Unmap { at, pages } => {
            let done = unmap(window, at * PAGE, pages * PAGE);
            assert_eq!(done.is_ok(), fits(at, pages), "{done:?}");
            if done.is_ok() {
                model[at as usize..(at + pages) as usize].fill(None);
            }
        }
        Step::Resize { file, pages } => {
            files[file].set_len(pages * PAGE).unwrap();
            window.follow(id(&files[file]), pages * PAGE).unwrap();
            told[file] = pages;
        }
        Step::Clear => {
            window.clear();
            model.fill(None);
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 128, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_guest_finds_what_it_has_set_up(steps in prop::collection::vec(steps(), 1..60)) {
        let (window, vmm) = window();
        let mut told = [PAGES, 7, 0];
        let files = told.map(|pages| file(pages * PAGE));
        let mut model = vec![None; PAGES as usize];
        for step in steps {
            take(step, &mut model, &files, &mut told, &window);
            check(&model, &files, &told, &vmm);
        }
        window.clear();
        prop_assert_eq!(vmm.len(), 0);
    }
}
