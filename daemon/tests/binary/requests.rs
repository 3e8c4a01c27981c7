//! Requests as a guest's kernel sends them, and as none should.

use fuse::abi::{ForgetIn, InHeader, Opcode, ReadIn};
use fuse::testing::RequestBuilder;
use virtio_queue::desc::split::Descriptor;
use zerocopy::IntoBytes;

use crate::support::daemon::Daemon;
use crate::support::front_end::{FrontEnd, NEXT, QUEUE_SIZE, READ, WRITE};
use crate::support::guest::{Guest, QUEUE, unpack};

const HIPRIO: usize = 0;
/// A second request queue, which must go on when the first has stopped.
const OTHER: usize = 2;

fn mount(daemon: &Daemon) -> Guest {
    Guest::mount(FrontEnd::connect(&daemon.socket(), 3))
}

#[test]
fn data_of_all_sizes_goes_both_ways() {
    let daemon = Daemon::start(&[]);
    let path = daemon.share().join("file");
    std::fs::write(&path, "").unwrap();
    let mut guest = mount(&daemon);
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, libc::O_RDWR as u32).unwrap();
    for len in [1, 4095, 4096, 4097, 100_000, 300_001] {
        let data: Vec<u8> = (0..len).map(|index| (index * 7 % 251) as u8).collect();
        assert_eq!(guest.write(node, handle, 10, &data), Ok(len as u32));
        assert_eq!(std::fs::read(&path).unwrap()[10..][..len], data);
        assert!(guest.read(node, handle, 10, len as u32).unwrap() == data, "{len} bytes");
    }
}

#[test]
fn forgets_come_over_the_hiprio_queue() {
    let daemon = Daemon::start(&[]);
    std::fs::write(daemon.share().join("file"), "").unwrap();
    let mut guest = mount(&daemon);
    let node = guest.lookup("file").unwrap();
    let forget = RequestBuilder::new(Opcode::Forget).node(node).with(&ForgetIn { nlookup: 1 });
    guest.front_end.send(HIPRIO, &forget.build(), 0);
    assert_eq!(guest.front_end.wait_used(HIPRIO), 0);
    assert!(guest.open(node, 0).is_err(), "the node is gone");
}

#[test]
fn a_pool_serves_all_the_same() {
    let daemon = Daemon::start(&["--thread-pool-size", "4"]);
    std::fs::write(daemon.share().join("file"), "contents").unwrap();
    let mut guest = mount(&daemon);
    for _ in 0..100 {
        let node = guest.lookup("file").unwrap();
        let handle = guest.open(node, 0).unwrap();
        assert_eq!(guest.read(node, handle, 0, 100).unwrap(), b"contents");
    }
}

#[test]
fn a_write_beyond_the_daemons_file_size_limit_fails_and_kills_nobody() {
    let mut daemon = Daemon::start(&[]);
    std::fs::write(daemon.share().join("file"), "").unwrap();
    let mut guest = mount(&daemon);
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, libc::O_RDWR as u32).unwrap();
    daemon.limit_file_size(4096);
    assert_eq!(guest.write(node, handle, 5000, b"x"), Err(libc::EFBIG));
    assert_eq!(guest.write(node, handle, 4000, &[1; 200]), Ok(96), "as far as it goes");
    assert!(daemon.is_alive());
}

#[test]
fn malformed_requests_are_answered() {
    let daemon = Daemon::start(&[]);
    let mut guest = mount(&daemon);
    let lookup = |name: &[u8]| RequestBuilder::new(Opcode::Lookup).node(1).name(name).build();
    let long_name = lookup(&[b'x'; 256]);
    let cases: [(&str, Vec<u8>, i32); 8] = [
        ("an unknown opcode", RequestBuilder::numbered(9999).build(), libc::ENOSYS),
        ("an empty name", lookup(b""), libc::EINVAL),
        ("a name with a slash", lookup(b"a/b"), libc::EINVAL),
        ("a name that is too long", long_name, libc::ENAMETOOLONG),
        (
            "a name without its NUL",
            RequestBuilder::new(Opcode::Lookup).node(1).bytes(b"name").build(),
            libc::EINVAL,
        ),
        ("a body that is too short", RequestBuilder::new(Opcode::Read).build(), libc::EINVAL),
        (
            "an unknown handle",
            RequestBuilder::new(Opcode::Read)
                .node(1)
                .with(&ReadIn { fh: 4711, size: 10, ..ReadIn::default() })
                .build(),
            libc::EBADF,
        ),
        (
            "a length that is not the request's",
            InHeader { len: 4096, opcode: Opcode::Statfs as u32, ..InHeader::default() }
                .as_bytes()
                .to_vec(),
            libc::EINVAL,
        ),
    ];
    for (what, request, errno) in cases {
        let reply = guest.front_end.ask(QUEUE, &request, 200);
        assert_eq!(unpack(&request, &reply), Err(errno), "{what}");
    }
    assert_eq!(guest.lookup("nothing"), Err(libc::ENOENT));
}

/// Breaks the first request queue and expects that it stops, alone.
fn stops_one_queue(what: &str, break_it: impl FnOnce(&mut FrontEnd)) {
    let mut daemon = Daemon::start(&[]);
    let mut guest = mount(&daemon);
    let served = guest.front_end.used(QUEUE);
    break_it(&mut guest.front_end);
    guest.front_end.wait_broken(QUEUE);
    daemon.wait_for_log("queue 1 stops until the guest sets it up anew");
    assert_eq!(guest.lookup_over(OTHER, "nothing"), Err(libc::ENOENT), "{what}");
    assert_eq!(guest.front_end.used(QUEUE), served, "{what}: nothing came back");
    assert_eq!(daemon.log_count(" stops until"), 1, "{what}: said once");

    guest.front_end.stop_rings();
    guest.front_end.start_rings();
    assert_eq!(guest.lookup("nothing"), Err(libc::ENOENT), "{what}: set up anew, it serves again");
}

#[test]
fn a_request_shorter_than_its_header_stops_the_queue() {
    stops_one_queue("short header", |front_end| front_end.send(QUEUE, &[1, 2, 3], 100));
}

#[test]
fn no_room_for_a_reply_stops_the_queue() {
    let statfs = RequestBuilder::new(Opcode::Statfs).node(1).build();
    stops_one_queue("no room", |front_end| front_end.send(QUEUE, &statfs, 8));
}

#[test]
fn a_loop_of_descriptors_stops_the_queue() {
    stops_one_queue("loop", |front_end| {
        let (table, buffer) = (front_end.table(QUEUE), front_end.buffer(QUEUE));
        front_end.write_descriptor(table, 0, Descriptor::new(buffer, 40, NEXT, 1));
        front_end.write_descriptor(table, 1, Descriptor::new(buffer, 40, NEXT, 0));
        front_end.offer_head(QUEUE, 0);
    });
}

#[test]
fn buffers_outside_memory_stop_the_queue() {
    let end = FrontEnd::end_of_memory();
    for address in [0, end, end - 8, u64::MAX - 10] {
        stops_one_queue("outside", |front_end| front_end.offer(QUEUE, &[(address, 40, READ)]));
    }
}

#[test]
fn writable_before_readable_stops_the_queue() {
    stops_one_queue("order", |front_end| {
        let buffer = front_end.buffer(QUEUE);
        front_end.offer(QUEUE, &[(buffer, 40, WRITE), (buffer + 64, 40, READ)]);
    });
}

#[test]
fn a_head_beyond_the_table_stops_the_queue() {
    stops_one_queue("head", |front_end| front_end.offer_head(QUEUE, QUEUE_SIZE));
}

#[test]
fn an_available_index_far_ahead_stops_the_queue() {
    stops_one_queue("index", |front_end| front_end.set_available(QUEUE, 20_000));
}

#[test]
fn an_absurd_indirect_table_stops_the_queue() {
    stops_one_queue("indirect", |front_end| {
        let indirect = virtio_bindings::bindings::virtio_ring::VRING_DESC_F_INDIRECT as u16;
        let buffer = front_end.buffer(QUEUE);
        front_end.offer(QUEUE, &[(buffer, u32::MAX - 15, indirect)]);
    });
}
