//! Announce, publish, observe: no guest ever uses an old copy.

use loom::sync::Arc;
use loom::thread;
use shm_layout::SlotWord;

use super::Model;
use super::kit::{Copy, File, News, START, World, promise, set, slot};
use crate::change::{Change, Pending};
use crate::mutation::Rule;
use crate::slots::SlotSet;

pub(super) fn models() -> Vec<Model> {
    vec![
        Model::new(
            "stale hit after publish",
            "a hit is what the host would answer, from the change's first effect on",
            stale_hit,
        )
        .breaking(&[
            Rule::SkipAnnounce,
            Rule::AnnounceFence,
            Rule::PublishFirst,
            Rule::PublishRelaxed,
            Rule::ReadBeforeObserve,
            Rule::ObserveFence,
        ]),
        Model::new(
            "caching while busy",
            "what is read during a change is not kept",
            caching_while_busy,
        )
        .breaking(&[Rule::StampBusy, Rule::AnnounceFence]),
        Model::new(
            "two announcers, one slot",
            "nobody's publish ends another's change; the slot is idle when both are over",
            two_announcers,
        )
        .preemptions(2)
        .breaking(&[Rule::SkipAnnounce, Rule::StampBusy]),
        Model::new(
            "stamp of one's own change",
            "a change stamps its reply only where it was alone",
            own_stamp,
        )
        .breaking(&[Rule::StampNotAlone, Rule::AnnounceFence, Rule::PublishRelaxed]),
        Model::new("rename over two slots", "no guest finds neither name", rename)
            .breaking(&[Rule::AnnounceHalf, Rule::AnnounceFence]),
        Model::new(
            "sweep against observe",
            "nothing observed before a sweep counts after it",
            sweep,
        )
        .breaking(&[Rule::AdvanceRelaxed, Rule::ReadBeforeObserve, Rule::ObserveFence]),
        Model::new(
            "generation wrap",
            "a wrapped generation is a moved word; an untouched one vouches for nothing",
            wrap,
        )
        .breaking(&[Rule::CompareByOrder, Rule::SkipAnnounce]),
        Model::new(
            "busy saturation",
            "a full count neither carries into the generation nor falls to idle",
            saturation,
        )
        .preemptions(3)
        .breaking(&[Rule::AnnounceCarries, Rule::PublishUnsticks]),
    ]
}

/// A daemon's change: announce, do, publish. In the order that the law forbids when that is the rule to break.
fn change(world: &World, slots: SlotSet, act: impl FnOnce()) {
    let mut pending = Pending::default();
    let seat = world.plain_seat();
    let change = Change::announce(&seat, &mut pending, slots);
    if broken!(PublishFirst) {
        change.publish();
        act();
    } else {
        act();
        change.publish();
    }
}

/// One change, one guest that caches before, during or after it and learns of it by the reply or by asking the host.
fn stale_hit(_: u32) {
    let world = World::new(&[START], 0);
    let file = Arc::new(File::new(0));
    let news = Arc::new(News::none());
    let daemon = thread::spawn({
        let (world, file, news) = (world.clone(), file.clone(), news.clone());
        move || {
            change(&world, set(0), || file.write(1));
            news.tell();
        }
    });
    let copy = Copy::fetch(world.words(), slot(0), &file);
    if news.heard() {
        promise(!copy.hit(world.words()) || copy.value == 1, "old copy after the reply");
    } else {
        let fresh = file.ask();
        promise(
            !copy.hit(world.words()) || copy.value >= fresh,
            "old copy after the host's answer",
        );
    }
    daemon.join().unwrap();
    promise(!copy.hit(world.words()) || copy.value == 1, "old copy at the end");
}

/// A change with two visible steps; a copy of the first must not outlive the second.
fn caching_while_busy(_: u32) {
    let world = World::new(&[START], 0);
    let file = Arc::new(File::new(0));
    let daemon = thread::spawn({
        let (world, file) = (world.clone(), file.clone());
        move || {
            change(&world, set(0), || {
                file.write(1);
                file.write(2);
            });
        }
    });
    let copy = Copy::fetch(world.words(), slot(0), &file);
    let fresh = file.ask();
    promise(!copy.hit(world.words()) || copy.value >= fresh, "half a change was cached");
    daemon.join().unwrap();
    promise(!copy.hit(world.words()) || copy.value == 2, "half a change outlived it");
}

fn two_announcers(_: u32) {
    let world = World::new(&[START], 0);
    let file = Arc::new(File::new(0));
    let announcer = || {
        let (world, file) = (world.clone(), file.clone());
        thread::spawn(move || {
            change(&world, set(0), || {
                file.add_one();
                let busy = world.words().peek(slot(0)).is_busy();
                promise(busy || broken!(SkipAnnounce), "the mark is gone while the change goes on");
            });
        })
    };
    let daemons = [announcer(), announcer()];
    let copy = Copy::fetch(world.words(), slot(0), &file);
    let fresh = file.ask();
    promise(!copy.hit(world.words()) || copy.value >= fresh, "old copy");
    for daemon in daemons {
        daemon.join().unwrap();
    }
    promise(!copy.hit(world.words()) || copy.value == 2, "old copy at the end");
    promise(world.words().peek(slot(0)) == SlotWord::new(3, 0), "both changes counted, slot idle");
}

/// Two changes of one inode, each of another attribute, each of which may stamp its reply with what it left behind:
/// both attributes.
fn own_stamp(_: u32) {
    let world = World::new(&[START], 0);
    let attributes = Arc::new([File::new(0), File::new(0)]);
    let daemon = |mine: usize| {
        let (world, attributes) = (world.clone(), attributes.clone());
        move || {
            let mut pending = Pending::default();
            let seat = world.plain_seat();
            let change = Change::announce(&seat, &mut pending, set(0));
            attributes[mine].write(1);
            let (value, published) =
                change.finish(|| attributes.iter().map(File::read).sum::<u64>());
            Copy { value, snapshot: published.snapshot(slot(0)) }
        }
    };
    let other = thread::spawn(daemon(0));
    let mine = daemon(1)();
    let theirs = other.join().unwrap();
    for copy in [mine, theirs] {
        promise(!copy.hit(world.words()) || copy.value == 2, "a stamp for a state that is over");
    }
}

/// The host's state says which of two names is there. A guest that cached both looks them up while one becomes the
/// other.
fn rename(_: u32) {
    const A: u64 = 0;
    const B: u64 = 1;
    let world = World::new(&[START, START], 0);
    let is_at = Arc::new(File::new(A));
    let cached_a = Copy::fetch(world.words(), slot(0), &is_at);
    let cached_b = Copy::fetch(world.words(), slot(1), &is_at);
    let daemon = thread::spawn({
        let (world, is_at) = (world.clone(), is_at.clone());
        move || {
            let names = if broken!(AnnounceHalf) { set(0) } else { [slot(0), slot(1)].into() };
            change(&world, names, || is_at.write(B));
        }
    });
    let look_up = |copy: &Copy| if copy.hit(world.words()) { copy.value } else { is_at.ask() };
    let a_exists = look_up(&cached_a) == A;
    let b_exists = look_up(&cached_b) == B;
    promise(a_exists || b_exists, "neither name exists");
    daemon.join().unwrap();
    promise(!cached_a.hit(world.words()) && !cached_b.hit(world.words()), "an old name");
}

/// A change that nobody announced, and the sweep that answers it.
fn sweep(_: u32) {
    let world = World::new(&[START], 0);
    let file = Arc::new(File::new(0));
    let news = Arc::new(News::none());
    let watcher = thread::spawn({
        let (world, file, news) = (world.clone(), file.clone(), news.clone());
        move || {
            file.write(1);
            let words = world.words();
            words.advance_range(slot(0).get(), words.end());
            news.tell();
        }
    });
    let copy = Copy::fetch(world.words(), slot(0), &file);
    if news.heard() {
        promise(!copy.hit(world.words()) || copy.value == 1, "old copy after the sweep");
    }
    watcher.join().unwrap();
    promise(!copy.hit(world.words()) || copy.value == 1, "old copy at the end");
}

/// The last generation, and a word that comes round to zero.
fn wrap(_: u32) {
    let last = SlotWord::new((1 << 48) - 1, 0);
    let world = World::new(&[last], 0);
    let file = Arc::new(File::new(0));
    let held = Copy::fetch(world.words(), slot(0), &file);
    promise(held.hit(world.words()), "the last generation vouches like any other");
    let daemon = thread::spawn({
        let (world, file) = (world.clone(), file.clone());
        move || change(&world, set(0), || file.write(1))
    });
    let copy = Copy::fetch(world.words(), slot(0), &file);
    for copy in [held, copy] {
        let fresh = file.ask();
        promise(!copy.hit(world.words()) || copy.value >= fresh, "old copy over the wrap");
    }
    daemon.join().unwrap();
    promise(!held.hit(world.words()), "the wrapped word is another word");
    let word = world.words().peek(slot(0));
    promise(!word.is_busy() && word.generation() <= 1, "wrapped, or touched again by an observer");
}

/// A slot with one mark less than can be counted: leaks, or a fault. Two changes at once.
fn saturation(_: u32) {
    let world = World::new(&[SlotWord::new(1, u16::MAX - 1)], 0);
    let announcer = || {
        let world = world.clone();
        thread::spawn(move || {
            change(&world, set(0), || {
                let word = world.words().peek(slot(0));
                promise(word.is_busy(), "a change in progress on an idle slot");
            });
        })
    };
    let daemons = [announcer(), announcer()];
    let words = world.words();
    promise(!words.observe_all([slot(0)]).then(|| ()).1[0].covers(), "a full count vouches");
    for daemon in daemons {
        daemon.join().unwrap();
    }
    let end = words.peek(slot(0));
    promise(end == SlotWord::new(2, u16::MAX - 1) || end.is_stuck(), "never less than was there");
    promise(end.is_busy() && end.generation() <= 3, "no carry");
}
