//! Writable DAX mappings: a hold on `attr` and `data` for as long as the VMM can store.

use crate::budget::spend;
use crate::fault::Fault;
use crate::host::Syscall;
use crate::ident::Ino;
use crate::marks::{GONE, HOLDS};
use crate::model::Model;
use crate::op::Op;
use crate::program::Step;
use crate::state::{Mark, Stage, State, Task};

impl Model {
    /// Sees what a (RE)MAPPING has to do to the daemon's hold: only the first mapping of a file announces, only the last publishes.
    pub(crate) fn look_at_hold(&self, st: &State, worker: u8, task: &mut Task) {
        let daemon = &st.daemons[usize::from(self.scope.daemon_of(worker))];
        let times = |ino: Ino| daemon.mapped.iter().filter(|&&i| i == ino).count();
        match task.op {
            Op::Map(ino) => task.held = times(ino) > 0,
            Op::Unmap(ino) if times(ino) <= 1 || self.broken(Fault::DaxReleasedAtFirstUnmap) => {
                let held =
                    daemon.ledger.iter().filter(|e| e.worker == HOLDS && e.stage == Stage::Held);
                task.marks = held
                    .map(|e| Mark { slot: e.slot, announced: GONE, published: None, counted: true })
                    .collect();
            }
            _ => {}
        }
    }

    /// The VMM maps or unmaps.
    pub(crate) fn move_window(&self, st: &mut State, worker: u8, task: &Task, step: Step) {
        let Some(ino) = task.subject else { return };
        let mapped = &mut st.daemons[usize::from(self.scope.daemon_of(worker))].mapped;
        if step == Step::MapWindow {
            mapped.push(ino);
        } else if let Some(at) = mapped.iter().position(|&i| i == ino) {
            mapped.remove(at);
        }
    }

    /// A guest stores through its mapping: no daemon sees it.
    pub(crate) fn store(&self, st: &mut State, daemon: u8) {
        spend(&mut st.left.stores);
        if let Some(&ino) = st.daemons[usize::from(daemon)].mapped.first() {
            let _ = st.host.call(&self.scope.layout, Syscall::Store(ino));
        }
    }
}
