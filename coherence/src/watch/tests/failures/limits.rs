//! Limits on watches.

use super::super::*;
use super::{Gated, Health, known};

#[test]
fn inodes_beyond_the_limit_get_no_stamp() {
    let test = "failures::limits::inodes_beyond_the_limit_get_no_stamp";
    if !inside(test, &["-U", "-r"], "echo 3 > /proc/sys/user/max_inotify_watches") {
        return;
    }
    let f = Fixture::new("/dev/shm");
    let watcher = f.watch(Arc::new(Inotify::new().unwrap()), never());
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    let stamp = |i: u32| {
        let path = f.path(&i.to_string());
        std::fs::write(&path, "").unwrap();
        f.inode(&system, &path)[1].covers()
    };
    assert_eq!([1, 2, 3, 4, 5].map(stamp), [true, true, true, false, false]);
    assert_eq!((watcher.figures().watches, watcher.figures().refused_inodes), (3, 2));
    system.forget(f.key(&f.path("1")));
    assert!(stamp(6), "room again");
}

#[test]
fn a_pinned_inode_is_watched_as_soon_as_there_is_room() {
    let test = "failures::limits::a_pinned_inode_is_watched_as_soon_as_there_is_room";
    if !inside(test, &["-U", "-r"], "echo 1 > /proc/sys/user/max_inotify_watches") {
        return;
    }
    let f = Fixture::new("/dev/shm");
    let watcher = f.watch(Arc::new(Inotify::new().unwrap()), never());
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    let pin = |name: &str| {
        std::fs::write(f.path(name), "").unwrap();
        system.pin(f.key(&f.path(name)), open(&f.path(name)).as_fd())
    };
    let again = || {
        let path = f.path("second");
        system.watch_again(f.key(&path), open(&path).as_fd());
        known(&f, &system, &path)
    };
    let (first, second) = (pin("first"), pin("second"));
    assert!(known(&f, &system, &f.path("first")) && !again());
    drop(first);
    assert!(!known(&f, &system, &f.path("second")), "nobody has tried");
    assert!(again());
    assert_eq!(watcher.figures().watches, 1);
    drop(second);
    assert_eq!(watcher.figures().watches, 0);
    assert!(!again(), "nobody needs it");
}

#[test]
fn a_file_system_beyond_the_limit_gets_no_stamp_until_there_is_room() {
    let f = Fixture::new("/dev/shm");
    std::fs::write(f.path("a"), "").unwrap();
    let stamp = |system: &Arc<FileSystem>| f.inode(system, &f.path("a"))[1];
    // The real limit is the whole system's: whatever else is tested meanwhile would run into it.
    let source = Gated::new(Arc::new(Fanotify::of_a_bystander().unwrap()));
    source.becomes(Health::Full);
    let watcher = f.watch(Arc::clone(&source) as Arc<dyn ChangeSource>, never());
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    assert!(!stamp(&system).covers());
    assert_eq!(watcher.figures().refused_systems, 1);
    source.becomes(Health::Well);
    eventually("a mark", || stamp(&system).covers());
    let stamp = stamp(&system);
    std::fs::write(f.path("a"), "more").unwrap();
    eventually("its end", || !f.view.is_current(stamp));
    assert_eq!(watcher.figures().sweeps, 0);
}
