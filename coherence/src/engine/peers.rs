//! The other daemons of the table: which are dead, and what they left.

use super::{Engine, KEEPER};
use crate::cuts::SET_WORDS;
use crate::host::{HostFile, RowField};
use crate::ledger::{Incarnation, Line};
use crate::proc::{Proc, ProcessId};
use crate::reap::{Reaped, Reaper};
use crate::words::Words;

/// What a look around found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tick {
    /// Daemons that were found dead.
    pub dead: u64,
    /// What became of their marks.
    pub reaped: Reaped,
}

/// A daemon that is known by its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) row: usize,
    pub(super) who: Incarnation,
}

/// What a reap of one row works with.
pub(super) struct Undertaker<'a> {
    pub(super) host: &'a HostFile,
    pub(super) words: Words<'a>,
    pub(super) proc: &'a Proc,
    /// The reaper's own ledger line.
    pub(super) own: Line<'a>,
}

impl Undertaker<'_> {
    /// Takes back what a dead daemon left, but for holds on what its front end still has mapped.
    pub(super) fn reap(&self, peer: Peer) -> Reaped {
        let row = self.host.row(peer.row);
        let reaper = Reaper { words: self.words, own: self.own, leaks: self.host.leaks() };
        let mut reaped = Reaped::default();
        for worker in row.workers() {
            reaped += reaper.line(worker.entries(), peer.who);
            reaped += reaper.pass(worker.pass(), peer.who);
        }
        if self.front_end_is_gone(peer) {
            reaped += reaper.line(row.dax_holds(), peer.who);
            row.holder().set_maps(&[0; SET_WORDS]);
        }
        reaped += reaper.abandon(row.lingering(), peer.who);
        reaped
    }

    /// Whether the process that a dead daemon's DAX mappings live in has ended. In doubt: no.
    pub(super) fn front_end_is_gone(&self, peer: Peer) -> bool {
        let row = self.host.row(peer.row);
        let process = ProcessId {
            pid: row.get(RowField::FrontEndPid) as i32,
            started: row.get(RowField::FrontEndStarted),
        };
        let same_namespace = self.is_ours(row.get(RowField::PidNamespace));
        process.pid == 0 || (same_namespace && process.started != 0 && self.proc.is_gone(process))
    }

    /// Whether pids of this namespace mean the same processes here.
    fn is_ours(&self, pid_namespace: u64) -> bool {
        pid_namespace != 0 && pid_namespace == self.proc.pid_namespace
    }

    /// Whether nothing of a dead daemon is left, so that its row may be another's.
    pub(super) fn is_clean(&self, peer: Peer) -> bool {
        let row = self.host.row(peer.row);
        Line::in_use(row.holds()) == 0 && !row.holder().maps_any()
    }
}

impl Engine {
    /// Looks after the table: finishes what dead daemons left, ends what was held because of a stuck one or of too many
    /// sweeps, and looks whether the table still is what it was. Cheap when there is nothing to do.
    pub fn tick(&self) -> Tick {
        self.table.look();
        if self.is_lost() {
            return Tick::default();
        }
        let tick = self.reap();
        self.settle_lingering();
        self.settle_sweep();
        tick
    }

    fn reap(&self) -> Tick {
        let mut tick = Tick::default();
        let dead: Vec<Peer> = self.peers().filter(|p| self.host.is_gone(p.row, p.who)).collect();
        for &peer in &dead {
            let reaped = self.reap_one(peer);
            tick.reaped += reaped;
            self.names().release_dead(peer.who, &*self.clock);
            self.host.cut_locks().release_dead(peer.who, &*self.clock);
            if self.was_reaped(peer) {
                continue;
            }
            tick.dead += 1;
            tracing::info!(row = peer.row, ?reaped, "a daemon has ended: its changes are finished");
        }
        if tick.dead > 0 {
            // Its watches and unread events died with it.
            self.sweep();
            self.own_row().count(RowField::Reaped, tick.reaped.finished);
        }
        for peer in dead {
            // After the sweep: should this reaper die before, another sweeps.
            self.host.row(peer.row).set(RowField::ReapedOf, peer.who.get());
            if self.undertaker().is_clean(peer) {
                self.host.sign_out(peer.row, peer.who);
            }
        }
        tick
    }

    fn reap_one(&self, peer: Peer) -> Reaped {
        // The keeper's line is one at a time's.
        let _line = self.sweeper.lock();
        self.undertaker().reap(peer)
    }

    pub(super) fn undertaker(&self) -> Undertaker<'_> {
        Undertaker {
            host: &self.host,
            words: self.words(),
            proc: &self.proc,
            own: self.area(KEEPER).line(self.who),
        }
    }

    /// Every other daemon, dead or alive.
    pub(super) fn peers(&self) -> impl Iterator<Item = Peer> {
        let own = self.who;
        let peers = self.host.occupied().map(|(row, who)| Peer { row, who });
        peers.filter(move |peer| peer.who != own)
    }

    /// Whether a peer's end was dealt with.
    pub(super) fn was_reaped(&self, peer: Peer) -> bool {
        self.host.row(peer.row).was_reaped(peer.who)
    }

    /// The process of a peer, if it can be watched from here.
    pub(super) fn process_of(&self, peer: Peer) -> Option<ProcessId> {
        let row = self.host.row(peer.row);
        let process =
            ProcessId { pid: row.get(RowField::Pid) as i32, started: row.get(RowField::Started) };
        let ours = self.undertaker().is_ours(row.get(RowField::PidNamespace));
        (ours && self.proc.find(process.pid) == Some(process)).then_some(process)
    }
}
