//! VMMs that come and go.

use rustix::process::Signal;

use crate::support::daemon::{Daemon, is_listening, samepaged};
use crate::support::front_end::{FrontEnd, QUEUE_SIZE};
use crate::support::guest::Guest;
use crate::support::wait_until;

fn serve_one(daemon: &Daemon, queues: usize) {
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), queues));
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, libc::O_RDWR as u32).unwrap();
    assert_eq!(guest.read(node, handle, 0, 4096).unwrap(), b"contents");
    assert_eq!(guest.write(node, handle, 0, b"contents"), Ok(8));
}

/// Twenty guests, each of which goes without a word with a file open.
fn serve_twenty(options: &[&str], queues: usize) {
    let mut daemon = Daemon::start(options);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let settle = |daemon: &Daemon, count| {
        wait_until("the daemon has noticed", || {
            daemon.log_count("front end disconnected") == count
        });
    };
    // The first one makes the daemon reach its working size.
    serve_one(&daemon, queues);
    settle(&daemon, 1);
    wait_until("the workers have gone", || daemon.threads() <= 2);
    let before = (daemon.descriptors(), daemon.threads());
    let resident = daemon.resident_kib();
    for count in 2..=21 {
        serve_one(&daemon, queues);
        settle(&daemon, count);
    }
    wait_until("descriptors and threads are no more than before", || {
        daemon.descriptors() <= before.0 && daemon.threads() <= before.1
    });
    let grown = daemon.resident_kib().saturating_sub(resident);
    assert!(grown < 1024, "resident memory grew by {grown} KiB over twenty guests");
    assert!(daemon.is_alive());
}

#[test]
fn twenty_guests_one_after_the_other_leave_nothing_behind() {
    serve_twenty(&[], 2);
}

#[test]
fn twenty_guests_with_many_queues_and_a_pool_leave_nothing_behind() {
    serve_twenty(&["--num-request-queues", "8", "--thread-pool-size", "4"], 9);
}

#[test]
fn all_sixty_three_request_queues_work() {
    let daemon = Daemon::start(&["--num-request-queues", "63"]);
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 64));
    for queue in 1..64 {
        assert_eq!(guest.lookup_over(queue, "nothing"), Err(libc::ENOENT));
    }
}

#[test]
fn once_means_once() {
    let mut daemon = Daemon::start(&["--once"]);
    drop(Guest::mount(FrontEnd::connect(&daemon.socket(), 2)));
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!daemon.socket().exists());
    assert!(!daemon.path("socket.pid").exists());
}

#[test]
fn a_signal_ends_the_daemon_cleanly() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        for connected in [false, true] {
            let mut daemon = Daemon::start(&[]);
            let guest = connected.then(|| Guest::mount(FrontEnd::connect(&daemon.socket(), 2)));
            daemon.signal(signal);
            assert_eq!(daemon.wait().code(), Some(0), "{signal:?}");
            assert!(!daemon.socket().exists());
            assert!(!daemon.path("socket.pid").exists());
            drop(guest);
        }
    }
}

#[test]
fn a_guest_that_reboots_mounts_again() {
    let daemon = Daemon::start(&[]);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 3));
    let old = guest.lookup("file").unwrap();
    // QEMU stops the rings when the guest's kernel resets the device, and the new kernel starts with INIT.
    assert_eq!(guest.front_end.stop_rings(), [0, 2, 0]);
    guest.front_end.start_rings();
    guest.init();
    assert!(guest.open(old, 0).is_err(), "inodes of the old kernel are gone");
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, 0).unwrap();
    assert_eq!(guest.read(node, handle, 0, 100).unwrap(), b"contents");
}

#[test]
fn a_paused_guest_goes_on_where_it_was() {
    let daemon = Daemon::start(&[]);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    let node = guest.lookup("file").unwrap();
    guest.front_end.stop_rings();
    guest.front_end.start_rings();
    let handle = guest.open(node, 0).unwrap();
    assert_eq!(guest.read(node, handle, 0, 100).unwrap(), b"contents");
}

#[test]
fn a_device_reset_forgets_the_guest() {
    let mut daemon = Daemon::start(&[]);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    guest.lookup("file").unwrap();
    guest.front_end.reset_device();
    daemon.wait_for_log("device reset");
    guest.init();
    guest.lookup("file").unwrap();
}

#[test]
fn memory_may_be_replaced_while_queues_run() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::mount(FrontEnd::connect(&daemon.socket(), 2));
    for _ in 0..10 {
        guest.front_end.swap_memory_table();
        assert_eq!(guest.lookup("nothing"), Err(libc::ENOENT));
    }
}

#[test]
fn rings_wrap_with_and_without_event_idx() {
    for event_idx in [true, false] {
        let daemon = Daemon::start(&[]);
        let front_end = FrontEnd::connect_with(&daemon.socket(), 2, event_idx);
        let mut guest = Guest::mount(front_end);
        for _ in 0..3 * QUEUE_SIZE {
            assert_eq!(guest.lookup("nothing"), Err(libc::ENOENT));
        }
    }
}

#[test]
fn the_configuration_space_has_the_tag_and_as_many_queues_as_asked_for() {
    let daemon = Daemon::start(&["--tag", "data", "--num-request-queues", "5"]);
    let mut front_end = FrontEnd::connect(&daemon.socket(), 2);
    let config = front_end.config(40);
    assert_eq!(&config[..5], b"data\0");
    assert_eq!(config[36..], 5u32.to_le_bytes());
}

#[test]
fn a_vmm_that_hangs_up_at_once_or_talks_nonsense_does_no_harm() {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    let mut daemon = Daemon::start(&[]);
    drop(UnixStream::connect(daemon.socket()).unwrap());
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.write_all(&[0xff; 64]).unwrap();
    drop(stream);
    drop(Guest::mount(FrontEnd::connect(&daemon.socket(), 2)));
    assert!(daemon.is_alive());
}

/// Whoever reads the log may go before the daemon does.
#[test]
fn a_daemon_whose_log_nobody_reads_serves_and_ends_as_any_other() {
    let place = tempfile::tempdir().unwrap();
    let share = place.path().join("share");
    std::fs::create_dir(&share).unwrap();
    let socket = place.path().join("socket");
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut command = samepaged();
    command.arg("--shared-dir").arg(share).arg("--socket-path").arg(&socket);
    command.args(["--log-level", "debug"]).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    wait_until("it listens", || is_listening(&socket));
    drop(reader);
    for _ in 0..2 {
        // Connecting, breaking a queue and going are all logged.
        let mut guest = Guest::mount(FrontEnd::connect(&socket, 3));
        guest.front_end.send(1, &[1, 2, 3], 100);
        guest.front_end.wait_broken(1);
        assert_eq!(guest.lookup_over(2, "nothing"), Err(libc::ENOENT));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let mut status = None;
    wait_until("it ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}
