//! Daemons cannot be told apart: rows are sorted, and every mention of a row or a worker follows.

use smallvec::SmallVec;

use crate::model::Model;
use crate::state::{ANYBODY, Copy, Daemon, Job, NOBODY, Source, State, Task, Then};

/// Where each row goes.
type Rows = SmallVec<[u8; 3]>;

impl Model {
    /// Sorts the rows by all that does not mention a row.
    pub(crate) fn sort_daemons(&self, st: &mut State) {
        let keys: SmallVec<[Vec<u8>; 3]> =
            (0..st.daemons.len()).map(|row| self.row_key(st, row)).collect();
        if keys.is_sorted() {
            return;
        }
        let mut order: SmallVec<[usize; 3]> = (0..keys.len()).collect();
        order.sort_by(|&a, &b| keys[a].cmp(&keys[b]));
        let mut rows = Rows::from_elem(0, keys.len());
        for (new, &old) in order.iter().enumerate() {
            rows[old] = new as u8;
        }
        self.move_rows(st, &order, &rows);
    }

    fn row_key(&self, st: &State, row: usize) -> Vec<u8> {
        let mut daemon: Daemon = st.daemons[row].clone();
        daemon.job = daemon.job.map(|job| with_row(job, |_| 0));
        for linger in &mut daemon.lingers {
            linger.worker %= self.scope.workers;
            linger.owner = linger.owner.map(|_| 0);
        }
        let hears: SmallVec<[(bool, bool, bool); 4]> = st
            .events
            .iter()
            .map(|e| {
                (
                    e.unread >> row & 1 == 1,
                    e.resync >> row & 1 == 1,
                    matches!(e.by, Source::Daemon(by, _) if usize::from(by) == row),
                )
            })
            .collect();
        let mut tasks: SmallVec<[Option<Task>; 4]> = st.tasks[self.workers_of(row)].into();
        for overdue in tasks.iter_mut().flatten().flat_map(|t| &mut t.overdue) {
            overdue.1 = 0;
        }
        let given: SmallVec<[Copy; 8]> = st
            .copies
            .iter()
            .filter(|c| usize::from(c.by) == row)
            .map(|c| Copy { by: 0, ..*c })
            .collect();
        postcard::to_stdvec(&(daemon, tasks, hears, given)).unwrap_or_default()
    }

    fn workers_of(&self, row: usize) -> std::ops::Range<usize> {
        let workers = usize::from(self.scope.workers);
        row * workers..(row + 1) * workers
    }

    fn move_rows(&self, st: &mut State, order: &[usize], rows: &Rows) {
        let old_daemons = std::mem::take(&mut st.daemons);
        let old_tasks = std::mem::take(&mut st.tasks);
        let move_worker = |worker: u8| {
            let row = self.scope.daemon_of(worker);
            rows[usize::from(row)] * self.scope.workers + worker % self.scope.workers
        };
        for &old in order {
            let mut daemon = old_daemons[old].clone();
            daemon.job = daemon.job.map(|job| with_row(job, |row| rows[usize::from(row)]));
            for linger in &mut daemon.lingers {
                linger.worker = move_worker(linger.worker);
                linger.owner = linger.owner.map(move_worker);
            }
            st.daemons.push(daemon);
            st.tasks.extend(old_tasks[self.workers_of(old)].iter().cloned());
        }
        for worker in st.locks.iter_mut().flatten() {
            *worker = move_worker(*worker);
        }
        for overdue in st.tasks.iter_mut().flatten().flat_map(|t| &mut t.overdue) {
            overdue.1 = move_worker(overdue.1);
        }
        let move_bits = |bits: u8| {
            let moved = rows.iter().enumerate().map(|(old, &new)| (bits >> old & 1) << new);
            moved.fold(bits & NOBODY, |all, bit| all | bit)
        };
        for copy in st.copies.iter_mut().filter(|c| c.by != ANYBODY) {
            copy.by = rows[usize::from(copy.by)];
        }
        st.copies.sort_unstable();
        for event in &mut st.events {
            if let Source::Daemon(row, _) = &mut event.by {
                *row = rows[usize::from(*row)];
            }
            event.unread = move_bits(event.unread);
            event.resync = move_bits(event.resync);
        }
    }
}

fn with_row(job: Job, moved: impl Fn(u8) -> u8) -> Job {
    match job {
        Job::Scan { row, tenant } => Job::Scan { row: moved(row), tenant },
        Job::Claim { row, entry } => Job::Claim { row: moved(row), entry },
        Job::Finish { row, entry } => Job::Finish { row: moved(row), entry },
        Job::Sweep { next, loaded, then: Then::Free { row, tenant } } => {
            Job::Sweep { next, loaded, then: Then::Free { row: moved(row), tenant } }
        }
        Job::Sweep { .. } | Job::Rebuild { .. } => job,
    }
}
