use std::fs;

use anyhow::bail;

use super::*;

fn record() -> Record {
    Record::of("here", [("thing", "1.0")])
}

#[test]
fn an_artifact_is_made_once() {
    let store = tempfile::tempdir().unwrap();
    let first = ensure_in(store.path(), "a", |directory| {
        fs::write(directory.join("file"), "made")?;
        Ok(record())
    });
    let place = first.unwrap();
    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "made");
    assert_eq!(Record::read(&place).unwrap(), record());
    let again = ensure_in(store.path(), "a", |_| bail!("made twice"));
    assert_eq!(again.unwrap(), place);
}

#[test]
fn a_failure_leaves_nothing_behind_and_does_not_stop_the_next() {
    let store = tempfile::tempdir().unwrap();
    let failed = ensure_in(store.path(), "a", |directory| {
        fs::write(directory.join("half"), "")?;
        bail!("the network went away")
    });
    assert!(failed.is_err());
    assert!(!store.path().join("a").exists());
    assert_eq!(fs::read_dir(store.path().join("unfinished")).unwrap().count(), 0);
    let place = ensure_in(store.path(), "a", |_| Ok(record())).unwrap();
    assert!(!place.join("half").exists());
}

#[test]
fn two_at_once_make_one() {
    let store = tempfile::tempdir().unwrap();
    let made = std::sync::Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                ensure_in(store.path(), "a", |_| {
                    *made.lock().unwrap() += 1;
                    Ok(record())
                })
                .unwrap();
            });
        }
    });
    assert_eq!(*made.lock().unwrap(), 1);
}
