//! Watchers that die.

use parking_lot::Mutex;

use super::super::*;
use super::{Gated, Health, known};

#[test]
fn when_the_thread_dies_nothing_is_stamped_until_there_is_another_source() {
    for health in [Health::Broken, Health::Deadly] {
        for which in 0..bystanders().len() {
            dies_and_is_back(health, move || Arc::clone(&bystanders()[which]));
        }
    }
}

fn dies_and_is_back(health: Health, make: impl Fn() -> Arc<dyn ChangeSource> + Send + 'static) {
    let f = Fixture::new("/dev/shm");
    let (path, cured) = (f.path("file"), Arc::new(Mutex::new(false)));
    std::fs::write(&path, "").unwrap();
    let source = Gated::new(make());
    let factory: Factory = Box::new({
        let cured = Arc::clone(&cured);
        move || if *cured.lock() { Ok(make()) } else { Err(std::io::Error::other("not yet")) }
    });
    let watcher = f.watch(Arc::clone(&source) as Arc<dyn ChangeSource>, factory);
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    let stamp = f.inode(&system, &path)[1];
    assert!(stamp.covers());
    source.becomes(health);
    std::fs::write(&path, "nobody hears of this").unwrap();
    eventually("the end of all stamps", || !f.view.is_current(stamp));
    assert!(!watcher.is_alive() && !f.inode(&system, &path)[1].covers());
    std::fs::write(&path, "nor of this").unwrap();
    *cured.lock() = true;
    eventually("another life", || watcher.is_alive());
    let stamp = f.inode(&system, &path)[1];
    assert!(stamp.covers(), "it is back");
    std::fs::write(&path, "but of this").unwrap();
    eventually("its end", || !f.view.is_current(stamp));
    assert_eq!(watcher.figures().failures, 1);
}

#[test]
fn a_factory_that_dies_is_asked_again() {
    let f = Fixture::new("/dev/shm");
    let source = Gated::new(Arc::new(Inotify::new().unwrap()));
    let calls = Mutex::new(0);
    let factory: Factory = Box::new(move || {
        *calls.lock() += 1;
        assert!(*calls.lock() > 1, "a test says so");
        Ok(Arc::new(Inotify::new()?))
    });
    let watcher = f.watch(Arc::clone(&source) as Arc<dyn ChangeSource>, factory);
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    assert!(f.inode(&system, f.share.path())[1].covers());
    source.becomes(Health::Broken);
    std::fs::write(f.path("file"), "").unwrap();
    eventually("another life", || watcher.figures().failures == 1 && watcher.is_alive());
    assert!(f.inode(&system, f.share.path())[1].covers());
}

#[test]
fn pinned_inodes_are_watched_again_after_a_failure() {
    let f = Fixture::new("/dev/shm");
    let inotify = || Arc::new(Inotify::new().unwrap());
    let source = Gated::new(inotify());
    let factory: Factory = Box::new(move || Ok(inotify()));
    let watcher = f.watch(Arc::clone(&source) as Arc<dyn ChangeSource>, factory);
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    let path = f.path("file");
    std::fs::write(&path, "").unwrap();
    let _pin = system.pin(f.key(&path), open(&path).as_fd());
    assert!(known(&f, &system, &path));
    source.becomes(Health::Broken);
    std::fs::write(&path, "more").unwrap();
    eventually("another life", || watcher.figures().failures == 1 && watcher.is_alive());
    assert!(!known(&f, &system, &path), "its watch went with the source");
    system.watch_again(f.key(&path), open(&path).as_fd());
    assert!(known(&f, &system, &path));
    let stamp = f.inode(&system, &path)[1];
    std::fs::write(&path, "most").unwrap();
    eventually("its end", || !f.view.is_current(stamp));
}
