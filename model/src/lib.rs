//! An executable specification of Samepage's coherence protocol, explored exhaustively.
//!
//! The protocol page (`docs/protocol.md`) says in prose why a guest that finds its word unchanged may trust its copy.
//! This crate says it in code that can be run: daemons that take one micro-step at a time, a host whose system calls
//! are atomic, the version table, ledgers, reapers, sweeps, events, DAX mappings, and guests that remember everything
//! they were ever told. An explorer takes every step that can be taken from every state, and after each of them checks
//! what must hold. Then it breaks one rule after the other and shows that each of them is needed.
//!
//! It knows nothing of the shipped engine but the arithmetic of the slot word (`shm-layout`): two authors read the
//! page, and what they made of it can be compared.
//!
//! # Reading order
//! [`ident`] and [`host`]: what there is. [`op`]: what guests ask for, and what each operation announces. [`program`]:
//! the order of the micro-steps, the heart of the protocol. `worker`, `marks`, `locks`, `reply`: what each step does.
//! `house`, `reap`, `hurry`, [`crash`], `watch`, `promise`, `dax`: sweeps and rebuilds, reapers, sweeps that are put off,
//! deaths, host events, who answers for which stamp, mappings. [`check`]: what must
//! hold. [`fault`]: the rules, as switches that break them. [`scopes`]: the worlds that are explored. [`explore`]: the
//! explorer. [`story`]: a counterexample as a tale.
//!
//! # What is checked
//! *A hit is the truth.* A guest's copy is a triple of identity, word and value. Whenever the slot holds the word, the
//! value must be what the host would answer **at this instant** ([`check::Kind::StaleHit`]). That makes the whole
//! history linearizable: a hit takes effect at its check, a request that asks the host at the system call that reads,
//! a change at its system call; all of them are instants of one host, so the order of these instants is the one that
//! linearizability asks for, and each lies between the call and its reply.
//!
//! Changes made on the host are the exception: an answer that was right before such a change may be given until the
//! daemon that gave it has handled the event (or, where that one died or nobody watched, until the reap or start has
//! swept). The model keeps a list of exactly these answers; a change that a daemon announces strikes its identities from
//! the list.
//!
//! Beside it: no rename shows neither of its names; the count of a slot never says fewer changes than there are; it is
//! always what ledgers, claims and lingering marks add up to, but for marks in doubt, each of which some ledger or the list
//! of leaks knows by slot; words never move backwards; nothing is stamped under a busy word; no lock is lost.
//!
//! # Why the state space is small, and nothing is lost by it
//! Four reductions. Each can be switched off, and tests explore the same scopes with and without.
//!
//! *Guests that ask for everything all the time* ([`scope::Scope::always`]). A reply carries a word `w` that was
//! observed at `t0` and a value read at `t1 >= t0`. If the word moved between, the stamp can never match again: words
//! only move forward (which is checked, [`check::Kind::Backwards`]). If it did not, observing at `t1` gives the same
//! stamp. So one atomic "observe and read" at every instant makes every stamp that slow readers could make and that
//! could ever count. Programs that read in another order than the page's are explored with micro-steps (scope
//! `readers`). Delay of replies needs no modelling: a copy counts from the instant it could first have been read.
//!
//! *Many slots in one step* ([`scope::Grain::Change`]). Everything that is checked concerns one slot at a time. Take a
//! run in which something goes wrong on slot `s`, and move each change's adds to its other slots to the instant of its
//! add to `s`. Adds to different slots commute; nobody's behaviour depends on another slot's word, but for the alone
//! test and for observations, which concern stamps of that other slot only. So the same thing goes wrong on `s`. The
//! same holds for publishes, for sweeps and for rebuilds. INTENT and HELD are read by others only after a death, so an
//! announce is one step, and a death between its acts is an action of its own ([`crash::Torn`]). Likewise locks are
//! taken in one step: a request does nothing between its first lock and its last. Scopes `words`, `readers`, `sweep`
//! and `rebuild` take every word as a step all the same.
//!
//! *Normal form* (`reduce`). Copies, observations and marks whose word has passed are dropped, since it cannot return;
//! generations are counted from the slot's present one, since guests only ask for equality; versions are numbered by
//! age, identity by identity. With this most scopes close: **any number of operations**, not three of them, is
//! explored until nothing new turns up. Faults that make words move backwards, or look at what is dropped, are
//! explored without ([`fault::Fault::may_reduce`]).
//!
//! *Symmetry* (`symmetry`). Daemons are exchangeable: their rows are sorted. Idle workers of one daemon are, too.
//!
//! # Why an explorer of our own
//! The `stateright` crate is the well-kept choice, and a test has it explore the same model and count the same states.
//! It keeps with each waiting state the whole path to it and the state unpacked, about fifteen times the memory, and
//! cannot search breadth first with symmetry; the deeper scopes would not fit. Ours is two hundred lines: packed
//! states, 64-bit fingerprints (two of a hundred million states share one with a chance of 1 in 3,700), shortest
//! counterexample first.
//!
//! # What is not modelled
//! Weak memory (the loom models of `coherence` do that): here a step is atomic and seen by all. Time: a lock may be
//! given up at any moment, a daemon may freeze for ever, so nothing depends on how long anything takes. The guest's own
//! locking (`guest/`), beyond what its rules are for taking words. Two identities that share a *file handle*; wrap of a
//! generation under a live copy (2.8e14 changes of one slot).

pub mod budget;
pub mod check;
pub mod crash;
mod dax;
pub mod explore;
pub mod fault;
pub mod fault_table;
pub mod host;
mod house;
mod hurry;
pub mod ident;
mod locks;
mod marks;
pub mod model;
pub mod op;
pub mod program;
mod promise;
mod reap;
mod recycle;
mod reduce;
mod reply;
pub mod report;
pub mod scope;
pub mod scopes;
pub mod state;
pub mod story;
mod symmetry;
mod watch;
mod word;
mod worker;
