//! Queues that overflow.

use super::super::*;
use super::{Gated, Health, Settings};
use crate::watch::Batch;

#[test]
fn a_queue_that_overflows_says_so() {
    let f = Fixture::new("/dev/shm");
    let sources = {
        let _alone = QUEUE_LIMITS.write();
        let _tiny = Settings::tiny_queues();
        bystanders_anyhow()
    };
    for source in sources {
        source.watch_file_system(open(f.share.path()).as_fd()).unwrap();
        source.watch_inode(f.key(f.share.path()), open(f.share.path()).as_fd()).unwrap();
        for i in 0..100 {
            let file = f.path(&i.to_string());
            std::fs::write(&file, "").unwrap();
            std::fs::remove_file(file).unwrap();
        }
        let mut batch = Batch::new(f.engine.placement());
        while source.read(&mut batch).unwrap() {}
        assert!(batch.why_lost().is_some(), "{}", source.name());
    }
}

#[test]
fn a_real_queue_that_overflows_ends_all_stamps_and_all_goes_on() {
    let f = Fixture::new("/dev/shm");
    let sources = {
        let _alone = QUEUE_LIMITS.write();
        let _tiny = Settings::tiny_queues();
        bystanders_anyhow()
    };
    for source in sources {
        let source = Gated::new(source);
        let watcher = f.watch(Arc::clone(&source) as Arc<dyn ChangeSource>, never());
        let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
        let (lost, kept) = (f.path("lost"), f.path("kept"));
        for file in [&lost, &kept] {
            std::fs::write(file, "").unwrap();
        }
        f.drain(&system);
        let stamps = [&lost, &kept].map(|file| f.inode(&system, file)[1]);
        assert!(stamps.iter().all(|stamp| stamp.covers()));
        // The thread does not keep up; what overflows is the last change, whose event nobody gets.
        source.becomes(Health::Slow);
        let dir = f.inode(&system, f.share.path());
        for i in 0..100 {
            let file = f.path(&i.to_string());
            std::fs::write(&file, "").unwrap();
            std::fs::remove_file(file).unwrap();
        }
        std::fs::write(&lost, "changed").unwrap();
        assert!(f.view.is_current(stamps[0]), "not told yet");
        source.becomes(Health::Well);
        eventually("the end of all stamps", || {
            stamps.iter().chain(&dir).all(|stamp| !f.view.is_current(*stamp))
        });
        // It is counted once it is done.
        eventually("a sweep", || watcher.figures().sweeps >= 1);
        assert!(watcher.is_alive());
        let stamp = f.inode(&system, &kept)[1];
        assert!(stamp.covers(), "it goes on");
        std::fs::write(&kept, "changed").unwrap();
        eventually("the end of a new stamp", || !f.view.is_current(stamp));
    }
}
