use super::*;
use crate::explore::{Bounds, explore};
use crate::fault::Fault;
use crate::scopes;

/// The tale of the oldest trap: what a name meant a moment ago.
#[test]
fn a_counterexample_reads_as_a_story() {
    let scope = scopes::find("names").expect("it is there");
    let model = Model::new(scope, Some(Fault::NoNameLock));
    let found = explore(&model, Bounds::NONE).counterexample.expect("it is caught");
    let story = tell(&model, &found);
    assert!(story.starts_with("At first: a (in #0) is inode #1, b (in #0) is inode #2."));
    for part in
        ["a guest of daemon", "resolves:", "announces entry(", "publishes", "host   ", "table  "]
    {
        assert!(story.contains(part), "no \"{part}\" in:\n{story}");
    }
    assert_eq!(story.matches(">> from here on a guest may hold").count(), 1);
    let numbered = (1..=found.actions.len()).all(|n| story.contains(&format!("{n:3}. ")));
    assert!(numbered && story.trim_end().contains("Then: STALE HIT"));
}
