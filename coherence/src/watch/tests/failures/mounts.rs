//! File systems that come, go, and cannot be watched.

use super::super::*;

#[test]
fn file_systems_that_cannot_be_watched_get_no_stamps() {
    let f = Fixture::new("/dev/shm");
    for source in bystanders() {
        let watcher = f.watch(source, never());
        let proc = File::open("/proc").unwrap();
        let system = watcher.file_system(proc.as_fd()).unwrap();
        assert!(system.cover(InodeKey(1), || Ok(&proc)).is_none());
        assert_eq!(watcher.figures().refused_systems, 1);
    }
}

#[test]
fn overlays_get_no_stamps() {
    let test = "failures::mounts::overlays_get_no_stamps";
    let setup = "mount --make-rprivate / && mount -t tmpfs none /mnt && mkdir /mnt/a /mnt/b /mnt/c && \
                 mount -t overlay none -o lowerdir=/mnt/a:/mnt/b /mnt/c";
    if !inside(test, &["-m"], setup) {
        return;
    }
    let f = Fixture::new("/dev/shm");
    for source in bystanders() {
        let watcher = f.watch(source, never());
        let overlay = File::open("/mnt/c").unwrap();
        let system = watcher.file_system(overlay.as_fd()).unwrap();
        assert!(system.cover(InodeKey(1), || Ok(&overlay)).is_none());
        let beside = File::open("/mnt/a").unwrap();
        let system = watcher.file_system(beside.as_fd()).unwrap();
        assert!(system.cover(InodeKey(1), || Ok(&beside)).is_some());
        assert_eq!(watcher.figures().refused_systems, 1);
    }
}

#[test]
fn a_mount_that_comes_or_goes_ends_all_stamps() {
    let test = "failures::mounts::a_mount_that_comes_or_goes_ends_all_stamps";
    if !inside(test, &["-m"], "mount --make-rprivate /") {
        return;
    }
    for source in bystanders() {
        let f = Fixture::new("/dev/shm");
        std::fs::create_dir(f.path("a")).unwrap();
        let watcher = f.watch(source, never());
        let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            assert!(command.args(arguments).arg(f.path("a")).status().unwrap().success());
        };
        let name = f.entry(&system, f.share.path(), "a");
        run("mount", &["-t", "tmpfs", "none"]);
        eventually("the end of the name", || !f.view.is_current(name));
        // Under the daemon, which has it open.
        let mounted = open(&f.path("a"));
        let inner = watcher.file_system(mounted.as_fd()).unwrap();
        std::fs::write(f.path("a/file"), "").unwrap();
        let stamp = f.inode(&inner, &f.path("a/file"))[1];
        let name = f.entry(&system, f.share.path(), "a");
        assert!(stamp.covers());
        run("umount", &["-l"]);
        eventually("the end of the name", || !f.view.is_current(name));
        assert!(!f.view.is_current(stamp));
        drop(mounted);
        assert!(f.entry(&system, f.share.path(), "a").covers(), "it goes on");
        // Another one in its place is watched like any.
        let name = f.entry(&system, f.share.path(), "a");
        run("mount", &["-t", "tmpfs", "none"]);
        eventually("the end of the name", || !f.view.is_current(name));
        let another = watcher.file_system(open(&f.path("a")).as_fd()).unwrap();
        assert_ne!(another.id(), inner.id());
        std::fs::write(f.path("a/file"), "").unwrap();
        let stamp = f.inode(&another, &f.path("a/file"))[1];
        assert!(stamp.covers());
        std::fs::write(f.path("a/file"), "more").unwrap();
        eventually("the end of the stamp", || !f.view.is_current(stamp));
        run("umount", &["-l"]);
    }
}
