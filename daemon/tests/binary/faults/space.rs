//! No room left.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{create, fsync, mount_tmpfs, with_own_mounts, write};
use crate::hostile::House;
use crate::support::daemon::{Daemon, samepaged};
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;

const CHUNK: usize = 4096;

#[test]
fn a_full_disk_is_told_to_who_writes_and_ends_when_there_is_room() {
    with_own_mounts(|| {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("share")).unwrap();
        mount_tmpfs(&place.path().join("share"), "size=256k");
        let daemon = Daemon::start_in(place, &["--sandbox", "none"]);
        let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
        let file = create(&mut guest, "file").unwrap();
        let mut written = 0;
        let error = loop {
            let data = [written as u8; CHUNK];
            match write(&mut guest, file, written, &data).unwrap() {
                Ok(len) => written += u64::from(len),
                Err(error) => break error,
            }
        };
        assert_eq!(error, libc::ENOSPC);
        assert!(written > 100_000, "{written}");
        assert_eq!(fsync(&mut guest, file), Ok(()), "what was acknowledged is there");
        let bytes = fs::read(daemon.share().join("file")).unwrap();
        assert_eq!(bytes.len() as u64, written);
        for (index, chunk) in bytes.chunks(CHUNK).enumerate() {
            assert!(chunk.iter().all(|&byte| byte == (index * CHUNK) as u8));
        }
        // It looks and reads as before, and writes again when there is room.
        assert_eq!(guest.read(file.0, file.1, 0, 10).unwrap(), [0; 10]);
        File::options().write(true).open(daemon.share().join("file")).unwrap().set_len(9).unwrap();
        assert_eq!(write(&mut guest, file, 9, b"more"), Some(Ok(4)));
        assert_eq!(fs::read(daemon.share().join("file")).unwrap()[9..], *b"more");
    });
}

#[test]
fn a_table_for_which_there_is_no_room_is_refused() {
    with_own_mounts(|| {
        let place = tempfile::tempdir().unwrap();
        for name in ["share", "shm"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        mount_tmpfs(&place.path().join("shm"), "size=64k");
        fill(&place.path().join("shm/full"));
        let mut command = samepaged();
        command.arg("--shared-dir").arg(place.path().join("share"));
        command.arg("--socket-path").arg(place.path().join("socket"));
        command.arg("--version-table").arg(place.path().join("shm/table"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let line = said.lines().last().unwrap();
        assert!(line.starts_with("samepaged: ") && line.contains("; "), "{said}");
        assert!(!place.path().join("shm/table").exists(), "nothing is left behind");
        assert!(!place.path().join("socket").exists());
    });
}

/// Takes all the room there is.
fn fill(path: &Path) {
    let file = File::create(path).unwrap();
    let mut at = 0;
    while let Ok(len) = file.write_at(&[1; 4096], at) {
        at += len as u64;
    }
}

/// A change that the table has no room to tell of does not happen: who asked for it is told, and so is nobody else. All
/// other changes happen, and when there is room again, all do.
#[test]
fn a_table_goes_on_when_its_file_system_is_full() {
    with_own_mounts(|| {
        let house = House::in_own_tmpfs();
        let daemons = [house.daemon(), house.daemon()];
        fill(&house.path("full"));
        let mut guests =
            daemons.each_ref().map(|daemon| Guest::mount(FrontEnd::connect(&daemon.socket(), 2)));
        let mut made = 0;
        let mut round = |prefix: &str, may_fail: bool| {
            for number in 0..100 {
                let [first, second] = &mut guests;
                let name = format!("{prefix}-{number}");
                match create(first, &name) {
                    Ok(_) => assert!(second.lookup(&name).is_ok()),
                    Err(error) => {
                        assert!(may_fail && error == libc::ENOSPC, "{error}");
                        assert_eq!(second.lookup(&name), Err(libc::ENOENT));
                    }
                }
                made += 1;
            }
        };
        round("full", true);
        fs::remove_file(house.path("full")).unwrap();
        round("room", false);
        assert_eq!(made, 200);
    });
}
