//! What INIT agrees on, and the caching that OPEN asks for.

use std::time::Duration;

use fuse::abi::{InitFlags, OpenReplyFlags};
use fuse::filesystem::Open;
use fuse::{FileSystem, NodeId, errno};
use rustix::fs::OFlags;

use super::share::{ROOT, Share, assert_errno, config, creation};
use crate::passthrough::InodeFileHandles::Prefer;
use crate::passthrough::{CachePolicy, Config, Negotiation};

fn agreed(config: &Config, offered: InitFlags) -> InitFlags {
    Share::on_disk(config).fs.init(&(offered).into()).unwrap()
}

#[test]
fn nothing_is_agreed_that_was_not_offered() {
    let few = InitFlags::DONT_MASK | InitFlags::ASYNC_READ;
    assert_eq!(agreed(&config(Prefer), few), few);
    assert_eq!(agreed(&config(Prefer), InitFlags::empty()), InitFlags::empty());
}

#[test]
fn options_decide() {
    let plain = agreed(&Config::default(), InitFlags::all());
    let optional = InitFlags::WRITEBACK_CACHE
        | InitFlags::POSIX_ACL
        | InitFlags::SECURITY_CTX
        | InitFlags::SUBMOUNTS
        | InitFlags::DIRECT_IO_ALLOW_MMAP;
    let never = InitFlags::NO_OPEN_SUPPORT;
    assert!(!plain.intersects(optional | never));
    let expected = InitFlags::DONT_MASK
        | InitFlags::ATOMIC_O_TRUNC
        | InitFlags::HANDLE_KILLPRIV_V2
        | InitFlags::DO_READDIRPLUS
        | InitFlags::READDIRPLUS_AUTO
        | InitFlags::PARALLEL_DIROPS
        | InitFlags::CREATE_SUPP_GROUP
        | InitFlags::POSIX_LOCKS
        | InitFlags::FLOCK_LOCKS;
    assert!(plain.contains(expected));
    let all = Config {
        writeback: true,
        allow_mmap: true,
        readdirplus: false,
        killpriv_v2: Some(false),
        ..config(Prefer)
    };
    let all = agreed(&all, InitFlags::all());
    assert!(all.contains(optional));
    assert!(!all.intersects(InitFlags::DO_READDIRPLUS | InitFlags::HANDLE_KILLPRIV_V2 | never));
}

#[test]
fn a_guest_without_what_is_demanded_is_refused() {
    let share = Share::on_disk(&Config { posix_acl: Negotiation::Always, ..config(Prefer) });
    assert_errno(share.fs.init(&(InitFlags::all() - InitFlags::POSIX_ACL).into()), errno::EPROTO);
    assert_errno(
        share.fs.init(&(InitFlags::all() - InitFlags::SETXATTR_EXT).into()),
        errno::EPROTO,
    );
    assert!(share.fs.init(&(InitFlags::all()).into()).unwrap().contains(InitFlags::POSIX_ACL));
}

/// A flush for each file that is only read is the price of locks.
#[test]
fn without_locks_readers_do_not_flush() {
    let share = Share::on_disk(&Config { posix_locks: false, ..config(Prefer) });
    share.host_file("file", "");
    let open = |flags: i32| {
        let open = Open { flags: flags as u32, kill_suidgid: false };
        share.fs.open(&ROOT, share.node("file"), &open).unwrap().flags
    };
    assert_eq!(open(libc::O_RDONLY), open(libc::O_RDWR) | OpenReplyFlags::NOFLUSH);
}

/// Flags for a file and for a directory, and the timeouts.
fn caching(cache: CachePolicy) -> (OpenReplyFlags, OpenReplyFlags, Duration) {
    let share = Share::on_disk(&Config { cache, ..config(Prefer) });
    let (entry, created) = share.create(&ROOT, NodeId::ROOT, "file", &creation(0o644)).unwrap();
    let open = Open { flags: libc::O_RDWR as u32, kill_suidgid: false };
    let file = share.fs.open(&ROOT, NodeId(entry.nodeid), &open).unwrap();
    assert_eq!(created.flags, file.flags);
    let read_only = Open { flags: libc::O_RDONLY as u32, kill_suidgid: false };
    let reader = share.fs.open(&ROOT, NodeId(entry.nodeid), &read_only).unwrap();
    assert_eq!(reader.flags, file.flags, "who closes may give up locks");
    assert_eq!(entry.entry_ttl, entry.attr_ttl);
    (file.flags, share.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap().flags, entry.entry_ttl)
}

#[test]
fn policies_mean_what_they_mean_in_virtiofsd() {
    let none = OpenReplyFlags::empty();
    let listing = OpenReplyFlags::CACHE_DIR | OpenReplyFlags::KEEP_CACHE;
    let day = Duration::from_hours(24);
    assert_eq!(caching(CachePolicy::Auto), (none, none, Duration::from_secs(1)));
    assert_eq!(caching(CachePolicy::Always), (OpenReplyFlags::KEEP_CACHE, listing, day));
    let direct = OpenReplyFlags::DIRECT_IO;
    assert_eq!(caching(CachePolicy::Never), (direct, none, Duration::ZERO));
    assert_eq!(caching(CachePolicy::Metadata), (direct, listing, day));
}

#[test]
fn timeouts_can_be_set() {
    let share = Share::on_disk(&Config {
        entry_timeout: Some(Duration::from_millis(5)),
        attr_timeout: Some(Duration::from_secs(7)),
        ..config(Prefer)
    });
    let entry = share.lookup(NodeId::ROOT, ".").unwrap();
    assert_eq!(entry.entry_ttl, Duration::from_millis(5));
    assert_eq!(entry.attr_ttl, Duration::from_secs(7));
    let attributes = share.fs.getattr(&ROOT, NodeId::ROOT, None).unwrap();
    assert_eq!(attributes.ttl, Duration::from_secs(7));
}

fn host_flags(config: &Config, flags: i32) -> OFlags {
    Share::on_disk(config).fs.host_flags(flags as u32)
}

#[test]
fn open_flags_are_passed_on_with_care() {
    let plain = || config(Prefer);
    let noise = libc::O_CREAT | libc::O_PATH | libc::O_TMPFILE | libc::O_APPEND | libc::O_NOFOLLOW;
    assert_eq!(host_flags(&plain(), libc::O_RDWR | noise), OFlags::RDWR);
    assert_eq!(host_flags(&plain(), libc::O_DIRECT | libc::O_NOATIME), OFlags::RDONLY);
    assert_eq!(host_flags(&plain(), libc::O_SYNC | libc::O_TRUNC), OFlags::SYNC | OFlags::TRUNC);
    assert_eq!(host_flags(&plain(), libc::O_WRONLY), OFlags::WRONLY);
    let direct = Config { allow_direct_io: true, preserve_noatime: true, ..plain() };
    let both = OFlags::DIRECT | OFlags::NOATIME;
    assert_eq!(host_flags(&direct, libc::O_DIRECT | libc::O_NOATIME), both);
    let writeback = Config { writeback: true, ..plain() };
    assert_eq!(host_flags(&writeback, libc::O_WRONLY | libc::O_APPEND), OFlags::RDWR);
}

#[test]
fn the_page_cache_may_read_what_it_writes() {
    let share = Share::on_disk(&Config { writeback: true, ..config(Prefer) });
    share.host_file("file", "data");
    let node = share.node("file");
    let file = (node, share.open(node, libc::O_WRONLY | libc::O_APPEND).unwrap());
    assert_eq!(share.read(file, 0, 100).unwrap(), b"data");
    share.write(file, 0, b"D").unwrap();
    assert_eq!(share.read(file, 0, 100).unwrap(), b"Data");
}
