//! A disk that fails: a FUSE file system of our own, which answers as a directory does until it is told to fail.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fuse::abi::{InHeader, Opcode, OutHeader};
use fuse::testing::{MemoryReply, MemoryRequest};
use fuse::{Server, ServerConfig};
use nix::mount::{MsFlags, mount};
use samepaged::passthrough::{Config, Passthrough, prepare_thread};
use zerocopy::{FromBytes, IntoBytes};

use super::{create, fsync, with_own_mounts, write};
use crate::support::daemon::Daemon;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;

const MAX_WRITE: u32 = 1 << 17;

/// Requests that reach the disk.
const FAILING: [Opcode; 5] =
    [Opcode::Read, Opcode::Write, Opcode::Fsync, Opcode::Mkdir, Opcode::Fallocate];

/// Mounts `directory` at `at`; while the switch is on, [`FAILING`] requests fail.
fn mount_failing(directory: &Path, at: &Path) -> Arc<AtomicBool> {
    let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read={MAX_WRITE}",
        device.as_raw_fd()
    );
    mount(Some("failing"), at, Some("fuse"), MsFlags::empty(), Some(options.as_str())).unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let config = Config { shared_dir: directory.to_owned(), xattr: true, ..Config::default() };
    let switch = Arc::clone(&fails);
    thread::spawn(move || serve(device, &config, &switch));
    fails
}

/// Until the file system is unmounted.
fn serve(mut device: File, config: &Config, fails: &AtomicBool) {
    prepare_thread().unwrap();
    let server = Server::new(
        Passthrough::new(config.clone()).unwrap(),
        ServerConfig { max_write: MAX_WRITE, max_background: 16, map_alignment: None },
    );
    let mut buffer = vec![0; MAX_WRITE as usize + 4096];
    while let Ok(len) = device.read(&mut buffer) {
        let request = &buffer[..len];
        let header = InHeader::read_from_prefix(request).unwrap().0;
        let fails = Opcode::from_number(header.opcode).is_some_and(|op| FAILING.contains(&op))
            // Relaxed: the flag carries no data.
            && fails.load(Ordering::Relaxed);
        let mut reply = MemoryReply::new(MAX_WRITE as usize + 4096);
        if fails {
            let len = size_of::<OutHeader>() as u32;
            let answer = OutHeader { len, error: -libc::EIO, unique: header.unique };
            device.write_all(answer.as_bytes()).unwrap();
            continue;
        }
        let len = server.handle(&mut MemoryRequest::new(request), &mut reply, None).unwrap();
        if len > 0 {
            // The kernel has given some requests up meanwhile.
            let _ = device.write_all(&reply.bytes()[..len]);
        }
    }
}

#[test]
fn a_failing_disk_is_told_to_who_reads_and_writes() {
    with_own_mounts(|| {
        let place = tempfile::tempdir().unwrap();
        let [disk, share] = ["disk", "share"].map(|name| place.path().join(name));
        fs::create_dir(&disk).unwrap();
        fs::create_dir(&share).unwrap();
        fs::write(disk.join("old"), "contents").unwrap();
        let fails = mount_failing(&disk, &share);
        let daemon = Daemon::start_in(place, &["--sandbox", "none", "--cache", "never"]);
        let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
        let file = create(&mut guest, "new").unwrap();
        assert_eq!(write(&mut guest, file, 0, b"acknowledged"), Some(Ok(12)));
        assert_eq!(fsync(&mut guest, file), Ok(()));
        let old = guest.lookup("old").unwrap();
        let handle = guest.open(old, libc::O_RDONLY as u32).unwrap();

        fails.store(true, Ordering::Relaxed); // As in `serve`.
        assert_eq!(guest.read(old, handle, 0, 100), Err(libc::EIO));
        assert_eq!(write(&mut guest, file, 12, b"lost"), Some(Err(libc::EIO)));
        assert_eq!(fsync(&mut guest, file), Err(libc::EIO));
        assert!(guest.lookup("old").is_ok(), "what does not reach the disk goes on");

        fails.store(false, Ordering::Relaxed); // As in `serve`.
        assert_eq!(guest.read(old, handle, 0, 100).unwrap(), b"contents");
        assert_eq!(write(&mut guest, file, 12, b" again"), Some(Ok(6)));
        assert_eq!(fs::read(disk.join("new")).unwrap(), b"acknowledged again");
    });
}
