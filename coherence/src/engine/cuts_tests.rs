use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;

use super::super::test_kit::{Fixture, kill};
use super::*;
use crate::clock::SystemClock;

const FILE: FileNumber = FileNumber { device: 1, inode: 7 };

fn join(fixture: &Fixture) -> Arc<Engine> {
    let clock = Arc::new(SystemClock);
    Engine::attach(super::super::Options { clock, ..fixture.options() }).unwrap()
}

/// Says what it is asked, and answers as it is told.
#[derive(Debug)]
struct Guest {
    said: Mutex<Sender<Option<u64>>>,
    answer: Mutex<Option<bool>>,
}

impl Guest {
    fn new(answer: Option<bool>) -> (Arc<Self>, Receiver<Option<u64>>) {
        let (sender, receiver) = channel();
        (Arc::new(Self { said: Mutex::new(sender), answer: Mutex::new(answer) }), receiver)
    }
}

impl Tenant for Guest {
    fn fit(&self, file: FileNumber, size: u64) -> io::Result<bool> {
        assert_eq!(file, FILE);
        self.said.lock().send(Some(size)).unwrap();
        self.answer.lock().ok_or_else(|| io::Error::other("the VMM is busy"))
    }

    fn settle(&self, _: FileNumber) {
        self.said.lock().send(None).unwrap();
    }
}

#[test]
fn who_has_a_file_mapped_is_asked_before_and_looks_afterwards() {
    let fixture = Fixture::new();
    let (cutter, holder) = (join(&fixture), join(&fixture));
    let (guest, said) = Guest::new(Some(false));
    let _attendant = Attendant::start(&holder, guest).unwrap();
    cutter.lock_file(FILE).unwrap().others_fit(0).unwrap();
    assert!(said.try_recv().is_err(), "nothing is mapped");
    drop(holder.lock_file(FILE).unwrap());
    holder.set_mapped([FILE]);
    let mut lock = cutter.lock_file(FILE).unwrap();
    lock.others_fit(4096).unwrap();
    assert_eq!(said.recv().unwrap(), Some(4096));
    assert!(said.try_recv().is_err(), "it is not cut yet");
    drop(lock);
    assert_eq!(said.recv().unwrap(), None);
    holder.set_mapped([]);
    cutter.lock_file(FILE).unwrap().others_fit(0).unwrap();
    assert!(said.try_recv().is_err());
}

#[test]
fn nobody_maps_a_file_that_is_being_cut() {
    let fixture = Fixture::new();
    let (cutter, mapper) = (join(&fixture), join(&fixture));
    let lock = cutter.lock_file(FILE).unwrap();
    let (sender, receiver) = channel();
    let waits = std::thread::spawn(move || {
        let lock = mapper.lock_file(FILE).unwrap();
        sender.send(()).unwrap();
        drop(lock);
    });
    assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err());
    drop(lock);
    receiver.recv().unwrap();
    waits.join().unwrap();
}

#[test]
fn a_file_stays_whole_when_a_vmm_does_not_let_go() {
    let fixture = Fixture::new();
    let (cutter, holder) = (join(&fixture), join(&fixture));
    let (guest, said) = Guest::new(None);
    let attendant = Attendant::start(&holder, guest).unwrap();
    holder.set_mapped([FILE]);
    let pid = std::process::id().into();
    let refused = cutter.lock_file(FILE).unwrap().others_fit(0);
    assert_eq!(refused, Err(Unyielding::Mapped { pid }));
    assert_eq!((said.recv().unwrap(), said.recv().unwrap()), (Some(0), None));
    drop(attendant);
    // Its daemon dies; the VMM (this process) lives on.
    holder.set_front_end(Some(std::process::id() as i32));
    kill(holder);
    let refused = cutter.lock_file(FILE).unwrap().others_fit(0);
    assert_eq!(refused, Err(Unyielding::Mapped { pid }));
    cutter.tick();
    assert!(cutter.lock_file(FILE).unwrap().others_fit(0).is_err(), "also when it was reaped");
}

#[test]
fn of_a_daemon_that_died_with_its_vmm_nothing_is_left() {
    let fixture = Fixture::new();
    let (cutter, holder) = (join(&fixture), join(&fixture));
    holder.set_mapped([FILE]);
    kill(holder);
    cutter.lock_file(FILE).unwrap().others_fit(0).unwrap();
    cutter.tick();
    assert_eq!(cutter.peers().count(), 0);
}

#[test]
fn who_dies_while_he_cuts_leaves_a_file_that_can_be_cut() {
    let fixture = Fixture::new();
    let (dying, cutter, holder) = (join(&fixture), join(&fixture), join(&fixture));
    let (guest, said) = Guest::new(Some(true));
    let _attendant = Attendant::start(&holder, guest).unwrap();
    holder.set_mapped([FILE]);
    let mut lock = dying.lock_file(FILE).unwrap();
    lock.others_fit(0).unwrap();
    assert_eq!(said.recv().unwrap(), Some(0));
    std::mem::forget(lock);
    kill(dying);
    cutter.tick();
    assert_eq!(said.recv().unwrap(), None, "the guest gets its pages back");
    cutter.lock_file(FILE).unwrap().others_fit(8).unwrap();
    assert_eq!(said.recv().unwrap(), Some(8));
}

#[test]
fn guests_with_other_memory_hear_of_growth() {
    let fixture = Fixture::new();
    let (cutter, holder) = (join(&fixture), join(&fixture));
    let (guest, said) = Guest::new(Some(true));
    let _attendant = Attendant::start(&holder, Arc::clone(&guest) as Arc<dyn Tenant>).unwrap();
    holder.set_mapped([FILE]);
    assert!(!cutter.has_blanks());
    cutter.lock_file(FILE).unwrap().others_fit(0).unwrap();
    assert_eq!((said.recv().unwrap(), said.recv().unwrap()), (Some(0), None));
    assert!(cutter.has_blanks());
    *guest.answer.lock() = Some(false);
    cutter.grown(FILE, 4096).unwrap();
    assert_eq!((said.recv().unwrap(), said.recv().unwrap()), (Some(4096), None));
    cutter.grown(FILE, 8192).unwrap();
    assert!(said.try_recv().is_err(), "it has all its pages");
}
