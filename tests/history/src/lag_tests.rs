use std::fs;

use super::*;
use crate::execute;

/// A directory in which a file is written three times, at the ticks 10–11, 20–21 and 30–31, and then
/// replaced at 40–41.
struct Scene {
    changes: Changes,
    looks: Vec<[Outcome; 4]>,
}

const PATH: Path = Path { directory: 0, name: 0, leaf: None };

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        execute::prepare(root.path()).unwrap();
        let place = Place::open(root.path(), false).unwrap();
        let file = root.path().join("0/a");
        fs::write(&file, 0_u64.to_le_bytes()).unwrap();
        let mut changes = Changes::from(World::observe(&place));
        for number in 1..4_u64 {
            fs::write(&file, number.to_le_bytes().repeat(number as usize + 1)).unwrap();
            changes.add(number * 10, number * 10 + 1, World::observe(&place));
        }
        fs::write(root.path().join("new"), "").unwrap();
        fs::rename(root.path().join("new"), &file).unwrap();
        changes.add(40, 41, World::observe(&place));
        let looks = changes.moments.iter().map(|m| m.world.names[0]).collect();
        Self { changes, looks }
    }

    /// What comes of a look that tells what was so after a change.
    fn check(&self, (invoked, returned): (u64, u64), call: Call, of: usize) -> Option<Lag> {
        let look = LOOKS.iter().position(|look| *look == call).unwrap();
        self.check_outcome((invoked, returned), call, self.looks[of][look])
    }

    fn check_outcome(
        &self,
        (invoked, returned): (u64, u64),
        call: Call,
        outcome: Outcome,
    ) -> Option<Lag> {
        let operation = Operation { call, path: PATH, to: PATH, value: 0 };
        let outcome = Some(outcome);
        let entry = Entry { log: 0, invoked, returned, operation, outcome, trusted: true };
        self.changes.check(0, &[entry]).ok()
    }
}

fn lag(late: usize, most_behind: usize) -> Lag {
    Lag { looks: 1, late, most_behind }
}

#[test]
fn looks_are_counted_by_how_late_they_are() {
    let scene = Scene::new();
    for call in [Call::Stat, Call::Read] {
        assert_eq!(scene.check((15, 16), call, 1), Some(lag(0, 0)));
        assert_eq!(scene.check((15, 25), call, 2), Some(lag(0, 0)), "made meanwhile");
        assert_eq!(scene.check((20, 22), call, 1), Some(lag(0, 0)), "not made yet");
        assert_eq!(scene.check((35, 36), call, 2), Some(lag(1, 1)));
        assert_eq!(scene.check((35, 36), call, 0), Some(lag(1, 3)));
        assert_eq!(scene.check((15, 16), call, 2), None, "nobody knows the future");
    }
}

#[test]
fn what_has_been_delivered_is_not_late_but_wrong() {
    let mut scene = Scene::new();
    scene.changes.delivered(1, 50);
    assert_eq!(scene.check((60, 61), Call::Read, 3), Some(lag(1, 1)), "to another guest");
    scene.changes.delivered(0, 50);
    assert_eq!(scene.check((49, 61), Call::Read, 3), Some(lag(1, 1)), "it had begun before");
    assert_eq!(scene.check((60, 61), Call::Read, 3), None);
    assert_eq!(scene.check((60, 61), Call::Read, 4), Some(lag(0, 0)));
}

#[test]
fn what_never_was_is_wrong() {
    let scene = Scene::new();
    let stat = scene.looks[3][0];
    let wrong = [
        Outcome { size: 17, ..stat },
        Outcome { links: 2, ..stat },
        Outcome { ino: stat.ino + 1000, ..stat },
        Outcome::error(rustix::io::Errno::STALE),
        Outcome::error(rustix::io::Errno::NOENT),
    ];
    for outcome in wrong {
        assert_eq!(scene.check_outcome((5, 35), Call::Stat, outcome), None, "{outcome}");
    }
    // The old file after its last name is gone.
    let nameless = Outcome { links: 0, ..stat };
    assert_eq!(scene.check_outcome((35, 50), Call::Stat, nameless), Some(lag(0, 0)));
    assert_eq!(scene.check_outcome((5, 6), Call::Stat, nameless), None);
    let mixed = Outcome { size: scene.looks[0][0].size, ..stat };
    assert_eq!(scene.check_outcome((5, 15), Call::Stat, mixed), Some(lag(0, 0)), "read in parts");
}
