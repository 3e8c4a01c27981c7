//! A guest: it caches what it was given with stamps, and asks again when a word has moved.

use std::collections::HashMap;
use std::path::Path;

use coherence::{Engine, Keeper, Snapshot, View};

use crate::random::Random;
use crate::share::{self, Attributes, Share};
use crate::{Findings, options};

/// A cached answer to `stat`: what the name meant and what its inode was like, with what vouches for both.
struct Cached {
    answer: Option<Attributes>,
    vouchers: Vec<Snapshot>,
}

impl Cached {
    fn is_current(&self, view: &View) -> bool {
        self.vouchers.iter().all(|&snapshot| view.is_current(snapshot))
    }
}

/// LOOKUP: observe the name, resolve it, observe the inode, read it.
fn look_up(engine: &Engine, share: &Share, name: &str) -> Cached {
    let entry = share.entry(engine, name);
    let (found, [entry]) = engine.observe([entry]).then(|| share.resolve(name).unwrap());
    let Some(file) = found else { return Cached { answer: None, vouchers: vec![entry] } };
    // The inode number of something that is pinned does not change: no observation is needed for it.
    let slots = share::slots(engine, share::attributes(&file).unwrap().ino);
    let (answer, [perm, attr]) =
        engine.observe([slots.perm, slots.attr]).then(|| share::attributes(&file).unwrap());
    Cached { answer: Some(answer), vouchers: vec![entry, perm, attr] }
}

pub(crate) fn run(place: &Path, seed: u64, checks: u64) -> Findings {
    let mut random = Random::new(seed);
    let engine = Engine::attach(options(place)).unwrap();
    let _keeper = Keeper::start(&engine).unwrap();
    let share = Share::open(place, &engine);
    let view = View::open(&place.join("table")).unwrap();
    let mut cache: HashMap<String, Cached> = HashMap::new();
    let mut found = Findings::default();
    while found.checks < checks {
        let name = share::name(&mut random);
        let cached = cache.entry(name.clone()).or_insert_with(|| look_up(&engine, &share, &name));
        found.checks += 1;
        if !cached.is_current(&view) {
            *cached = look_up(&engine, &share, &name);
            continue;
        }
        found.hits += 1;
        let truth = share.stat(&name);
        // Nothing has moved from the hit until after the host was asked: the two must agree.
        if cached.is_current(&view) {
            found.compared += 1;
            if truth != cached.answer {
                found.stale += 1;
                if found.stale == 1 {
                    eprintln!("{name}: cached {:?}, host {truth:?}", cached.answer);
                }
            }
        }
    }
    found
}
