//! A change, a look and a check ask neither the allocator nor the kernel for anything.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use coherence::{Engine, Identity, Options, SlotSet, View, Worker};
use seccompiler::{SeccompAction, SeccompFilter};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting the calls of each thread.
struct Counting;

// SAFETY: every call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps alloc's contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Daemon {
    engine: Arc<Engine>,
    worker: Worker,
    view: View,
    _directory: tempfile::TempDir,
}

fn daemon() -> Daemon {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path().join("table");
    let engine = Engine::attach(Options::new(&path)).unwrap();
    engine.answer_for_stamps().unwrap();
    let worker = engine.worker().unwrap();
    Daemon { view: View::open(&path).unwrap(), worker, engine, _directory: directory }
}

/// What a daemon does for a WRITE, a LOOKUP and a RENAME, and what a guest does for each access.
fn serve(daemon: &mut Daemon, ino: u64) {
    let engine = &daemon.engine;
    let inode =
        engine.inode(&Identity::Handle { fsid: [1, 2], kind: 1, handle: &ino.to_le_bytes() });
    let of = engine.inode_slots(inode).unwrap();
    let change = daemon.worker.announce([of.attr, of.data, of.perm].into()).unwrap();
    let ((), published) = change.finish(|| ());
    assert!(daemon.view.is_current(published.snapshot(of.attr)));

    let entry = engine.entry_slot(inode, b"name").unwrap();
    let ((), [entry_seen]) = engine.observe([entry]).then(|| ());
    let ((), inode_seen) = engine.observe([of.perm, of.attr, of.data]).then(|| ());
    assert!(
        daemon.view.is_current(entry_seen) && inode_seen.iter().all(|&s| daemon.view.is_current(s))
    );

    let other = engine.entry_slot(inode, b"other name").unwrap();
    let parent = engine.inode(&Identity::Inode { dev: 1, ino });
    let parents = engine.inode_slots(parent).unwrap();
    let mut names = daemon.worker.lock_names([entry, other]);
    let six = [entry, other, parents.attr, parents.perm, of.attr, of.data];
    names.announce(SlotSet::from(six)).unwrap().publish();
    drop(names);
    assert!(!daemon.view.is_current(entry_seen));
}

#[test]
fn nothing_is_allocated() {
    let mut daemon = daemon();
    // The first round makes pages.
    (0..100).for_each(|ino| serve(&mut daemon, ino));
    let before = ALLOCATIONS.get();
    (0..100).for_each(|ino| serve(&mut daemon, ino));
    assert_eq!(ALLOCATIONS.get(), before);
    drop(vec![1]);
    assert!(ALLOCATIONS.get() > before, "the counter counts");
}

const CHILD: &str = "SAMEPAGE_TEST_STRICT";

/// Any call but `write` ends this process from now on.
fn forbid_calls() {
    let allowed = [(libc::SYS_write, vec![])].into_iter().collect();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let (otherwise, then) = (SeccompAction::KillProcess, SeccompAction::Allow);
    let filter = SeccompFilter::new(allowed, otherwise, then, arch).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// Not a test: serves where any call is death.
#[test]
#[ignore = "the child process of the next test"]
fn strict_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut daemon = daemon();
    (0..100).for_each(|ino| serve(&mut daemon, ino));
    forbid_calls();
    for _ in 0..100 {
        (0..100).for_each(|ino| serve(&mut daemon, ino));
    }
    std::io::stdout().write_all(b"served\n").unwrap();
    // A call, and so the end: this is not printed.
    std::thread::yield_now();
    std::io::stdout().write_all(b"alive\n").unwrap();
}

#[test]
fn the_kernel_is_not_called() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["strict_child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("served\n"), "a call was made: {:?} {said}", output.status);
    assert!(!said.contains("alive\n"), "calls are not noticed here");
}
