//! Every kind of change, told by every source on every file system here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use shm_layout::word::Ordering::Relaxed;

use super::*;
use crate::region::Region;

const GONE: bool = true;
const KEPT: bool = false;

fn everywhere(test: impl Fn(&Fixture, &FileSystem)) {
    for place in &places() {
        for source in bystanders() {
            let f = Fixture::new(place);
            let watcher = f.watch(source, never());
            let system = watcher.file_system(f.share.as_file_fd().as_fd()).unwrap();
            println!("{place} {}", watcher.figures().source);
            test(&f, &system);
            assert_eq!(watcher.figures().sweeps, 0, "every event was told by slot");
        }
    }
}

trait AsFileFd {
    fn as_file_fd(&self) -> File;
}

impl AsFileFd for tempfile::TempDir {
    fn as_file_fd(&self) -> File {
        open(self.path())
    }
}

#[test]
fn a_name_comes_and_goes() {
    everywhere(|f, system| {
        let share = f.share.path();
        let [dir, missing] = [f.inode(system, share), [f.entry(system, share, "a"); 3]];
        let other = f.entry(system, share, "b");
        fs::write(f.path("a"), "").unwrap();
        assert_eq!(f.ended(system, [missing[0], dir[1], dir[0], other]), [GONE, GONE, KEPT, KEPT]);
        let (entry, file) = (f.entry(system, share, "a"), f.inode(system, &f.path("a")));
        fs::remove_file(f.path("a")).unwrap();
        assert_eq!(f.ended(system, [entry, file[1]]), [GONE, GONE]);
    });
}

#[test]
fn a_directory_and_a_link_come_and_go() {
    everywhere(|f, system| {
        let share = f.share.path();
        let (dir, link) = (f.entry(system, share, "d"), f.entry(system, share, "l"));
        fs::create_dir(f.path("d")).unwrap();
        symlink("d", f.path("l")).unwrap();
        assert_eq!(f.ended(system, [dir, link]), [GONE, GONE]);
        let (dir, link) = (f.entry(system, share, "d"), f.entry(system, share, "l"));
        fs::remove_file(f.path("l")).unwrap();
        assert_eq!(f.ended(system, [dir, link]), [KEPT, GONE]);
        fs::remove_dir(f.path("d")).unwrap();
        assert_eq!(f.ended(system, [dir]), [GONE]);
    });
}

#[test]
fn attributes_and_contents_change() {
    everywhere(|f, system| {
        let file = f.path("a");
        fs::write(&file, "1").unwrap();
        f.drain(system);
        let stamps = f.inode(system, &file);
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        assert_eq!(f.ended(system, stamps), [GONE, GONE, KEPT]);
        let stamps = f.inode(system, &file);
        fs::write(&file, "22").unwrap();
        // The size goes with mode and owner (docs/protocol.md, section 3).
        assert_eq!(f.ended(system, stamps), [GONE, GONE, GONE]);
        let stamps = f.inode(system, &file);
        rustix::fs::setxattr(&file, "user.x", b"1", rustix::fs::XattrFlags::empty()).unwrap();
        assert_eq!(f.ended(system, [stamps[1]]), [GONE]);
    });
}

#[test]
fn times_are_set() {
    everywhere(|f, system| {
        fs::write(f.path("a"), "").unwrap();
        fs::create_dir(f.path("d")).unwrap();
        f.drain(system);
        let set = |nanoseconds| rustix::fs::Timespec { tv_sec: 1, tv_nsec: nanoseconds };
        let (some, keep) = (set(0), set(rustix::fs::UTIME_OMIT));
        for path in [f.path("a"), f.path("d")] {
            // Setting the time of access moves the change time, too, and nothing tells of that.
            for (access, modification, told) in
                [(keep, some, GONE), (some, some, GONE), (some, keep, KEPT)]
            {
                let times =
                    rustix::fs::Timestamps { last_access: access, last_modification: modification };
                let stamps = f.inode(system, &path);
                let (cwd, flags) = (rustix::fs::CWD, rustix::fs::AtFlags::empty());
                rustix::fs::utimensat(cwd, &path, &times, flags).unwrap();
                assert_eq!(f.ended(system, [stamps[1]]), [told], "{times:?} {}", path.display());
            }
        }
    });
}

#[test]
fn a_file_changes_through_a_link_elsewhere() {
    everywhere(|f, system| {
        let (share, outside) = (f.path("share"), f.path("outside"));
        fs::create_dir(&share).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(share.join("a"), "1").unwrap();
        f.drain(system);
        let stamps = f.inode(system, &share.join("a"));
        fs::hard_link(share.join("a"), outside.join("b")).unwrap();
        assert_eq!(f.ended(system, [stamps[1]]), [GONE], "its link count");
        let stamps = f.inode(system, &share.join("a"));
        fs::write(outside.join("b"), "22").unwrap();
        assert_eq!(f.ended(system, [stamps[1], stamps[2]]), [GONE, GONE]);
    });
}

#[test]
fn a_file_is_replaced_as_editors_do() {
    everywhere(|f, system| {
        let share = f.share.path();
        fs::write(f.path("a"), "old").unwrap();
        fs::hard_link(f.path("a"), f.path("kept")).unwrap();
        fs::write(f.path("a~"), "new").unwrap();
        f.drain(system);
        let names = [f.entry(system, share, "a"), f.entry(system, share, "a~")];
        let (old, new) = (f.inode(system, &f.path("a")), f.inode(system, &f.path("a~")));
        fs::rename(f.path("a~"), f.path("a")).unwrap();
        let all = [names[0], names[1], old[1], new[1], old[2], new[2]];
        assert_eq!(f.ended(system, all), [GONE, GONE, GONE, GONE, KEPT, KEPT]);
    });
}

#[test]
fn directories_move_with_all_that_is_in_them() {
    everywhere(|f, system| {
        for dir in ["a", "b", "a/sub"] {
            fs::create_dir(f.path(dir)).unwrap();
        }
        fs::write(f.path("a/sub/file"), "").unwrap();
        f.drain(system);
        let below = f.entry(system, &f.path("a/sub"), "file");
        let moved = [f.entry(system, &f.path("a"), "sub"), f.entry(system, &f.path("b"), "sub")];
        let parents = [f.inode(system, &f.path("a"))[1], f.inode(system, &f.path("b"))[1]];
        fs::rename(f.path("a/sub"), f.path("b/sub")).unwrap();
        let all = [moved[0], moved[1], parents[0], parents[1], below];
        assert_eq!(f.ended(system, all), [GONE, GONE, GONE, GONE, KEPT]);
        // What is in a directory is known by the directory, not by its path.
        fs::remove_file(f.path("b/sub/file")).unwrap();
        assert_eq!(f.ended(system, [below]), [GONE]);
    });
}

#[test]
fn stores_through_a_mapping_are_told_when_the_file_is_closed() {
    everywhere(|f, system| {
        let path = f.path("a");
        fs::write(&path, "12345678").unwrap();
        f.drain(system);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let map = Region::map(&file, 8).unwrap();
        let stamps = f.inode(system, &path);
        map.words()[0].store(u64::from_ne_bytes(*b"87654321"), Relaxed);
        // By another mapping, which is as good: what is written out are the file's pages.
        memmap2::MmapOptions::new().len(8).map_raw(&file).unwrap().flush().unwrap();
        file.sync_all().unwrap();
        assert_eq!(
            f.ended(system, [stamps[2]]),
            [KEPT],
            "nothing tells of the store, of msync, or of fsync"
        );
        drop((map, file));
        assert_eq!(f.ended(system, [stamps[1], stamps[2]]), [GONE, GONE]);
    });
}

#[test]
fn a_forgotten_inode_costs_no_watch() {
    let f = Fixture::new("/dev/shm");
    let watcher = f.watch(Arc::new(Inotify::new().unwrap()), never());
    let system = watcher.file_system(open(f.share.path()).as_fd()).unwrap();
    fs::write(f.path("a"), "").unwrap();
    let key = f.key(&f.path("a"));
    let cover = system.cover(key, || Ok(open(&f.path("a")))).unwrap();
    let again = system.cover(key, || Err::<File, _>(std::io::Error::other("is watched"))).unwrap();
    assert_eq!(watcher.figures().watches, 1);
    system.forget(key);
    drop(cover);
    assert_eq!((watcher.figures().watches, again.stands()), (1, true), "a request is under way");
    drop(again);
    assert_eq!(watcher.figures().watches, 0);
    assert!(system.cover(key, || Ok(open(&f.path("a")))).is_some());
    f.drain(&system);
    assert_eq!(watcher.figures().sweeps, 0, "the end of the old watch is no surprise");
}
