//! `--translate-uid`, `--translate-gid`.

use std::os::unix::fs::chown;

use fuse::abi::{InitFlags, SetattrValid};

use super::same_but;
use super::scene::Scene;

/// Rules for users and for groups, some of which make no sense. Not here: rules that no id comes under, and some of whose
/// ids have nowhere to go; virtiofsd takes these, ours does not.
const RULES: &[&[&str]] = &[
    &[],
    &["guest:0:1000:10"],
    &["host:1000:0:10"],
    &["map:0:1000:10"],
    &["squash-guest:0:7:5000"],
    &["squash-host:0:7:5000"],
    &["forbid-guest:5:2"],
    &["guest:0:1000:10", "host:1000:0:10"],
    &["squash-guest:0:1001:4294967295", "host:1001:1000:1"],
    &["forbid-guest:0:1", "squash-guest:1:9:100"],
    &["map:0:1000:3", "map:3:2000:3"],
    &["map:0:1000:3", "map:2:2000:3"],
    &["guest:0:1000:3", "forbid-guest:2:3"],
    &["guest:4294967295:0:2"],
    &["guest:0:1"],
    &["guest:0:1:2:3"],
    &["forbid-guest:0:1:2"],
    &["map:a:1:2"],
    &["neither:0:1:2"],
    &[""],
];

fn act(scene: &mut Scene) {
    scene.owner("file");
    for id in [0, 1, 5, 9, 1000, 1005] {
        scene.create(&format!("of-{id}"), (id, id), None);
    }
    scene.create("of-two", (5, 9), None);
    scene.make_others((1, 5));
    for id in [0, 5, 7, 1000] {
        scene.set_attr(SetattrValid::UID, id, 0);
        scene.set_attr(SetattrValid::GID, 0, id);
        scene.set_attr(SetattrValid::UID | SetattrValid::GID, id, id);
    }
    for id in [0, 5, 7, 1000, 1001, 1005, 4999, 70_000] {
        chown(scene.host("file"), Some(id), Some(id)).unwrap();
        scene.owner("file");
    }
}

#[test]
fn translated_ids_are_the_same() {
    for rules in RULES {
        for option in ["--translate-uid", "--translate-gid"] {
            let options: Vec<&str> = rules.iter().flat_map(|rule| [option, rule]).collect();
            // An id that is forbidden is no failure of the disk: ours says EPERM, virtiofsd EIO.
            same_but(&options, InitFlags::empty(), &[("Err(1)", "Err(5)")], act);
        }
    }
}
