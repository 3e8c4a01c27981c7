//! Inodes that nothing refers to any more: their numbers are used again, as with a new generation in the file handle.

use crate::ident::{Identity, Ino, Value};
use crate::model::Model;
use crate::state::{Permits, State, Task};

impl Model {
    /// Forgets created inodes that have no name and that no request, event or live copy speaks of.
    ///
    /// What guests may still hold of such an inode is what it was when it was forgotten, and nothing can change it.
    pub(crate) fn recycle_inodes(&self, st: &mut State) {
        for ino in (self.scope.used..self.scope.layout.inodes).map(Ino) {
            if st.host.exists(ino) && !self.is_spoken_of(st, ino) {
                st.host.created &= !(1 << ino.0);
                forget(st, ino);
            }
        }
    }

    fn is_spoken_of(&self, st: &State, ino: Ino) -> bool {
        let in_task = |t: &Task| {
            t.found.contains(&Some(ino))
                || t.subject == Some(ino)
                || t.op.target() == Some(ino)
                || t.answer.contains(&Some(Value::Is(ino)))
        };
        st.host.names.contains(&Some(ino))
            || st.tasks.iter().flatten().any(in_task)
            || st.copies.iter().any(|c| c.value == Value::Is(ino) && self.hits(st, c))
            || st.events.iter().any(|e| e.touched.iter().any(|&id| is_about(id, ino)))
            || st.daemons.iter().any(|d| d.mapped.contains(&ino))
    }
}

fn forget(st: &mut State, ino: Ino) {
    st.copies.retain(|c| !is_about(c.id, ino));
    for daemon in &mut st.daemons {
        daemon.known.retain(|k| !is_about(k.id, ino) && k.value != Value::Is(ino));
    }
    let strike = |permits: &mut Permits| permits.retain(|(id, _)| !is_about(*id, ino));
    st.events.iter_mut().for_each(|e| strike(&mut e.permits));
}

fn is_about(id: Identity, ino: Ino) -> bool {
    matches!(id, Identity::Perm(i) | Identity::Attr(i) | Identity::Data(i) if i == ino)
}
