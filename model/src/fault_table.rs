//! Every fault, the scope that must catch it, and what it must lead to.

use crate::check::Kind;
use crate::check::Kind::{LockLost, MarkLost, NeitherName, StaleHit, Unbalanced};
use crate::fault::{Entry, Fault};
use crate::op::OpKind as O;
use crate::op::Part as P;

const fn stale(rule: &'static str, fault: Fault, scope: &'static str) -> Entry {
    caught(rule, fault, scope, StaleHit)
}

const fn caught(rule: &'static str, fault: Fault, scope: &'static str, kind: Kind) -> Entry {
    Entry { fault, scope, expected: Some(kind), rule }
}

const fn harmless(rule: &'static str, fault: Fault, scope: &'static str) -> Entry {
    Entry { fault, scope, expected: None, rule }
}

/// All faults, in the order of the protocol page.
pub const FAULTS: &[Entry] = &[
    stale("7 publish after the change, not before", Fault::PublishBeforeChange, "names"),
    stale("7 announce before the change", Fault::NoAnnounce, "names"),
    stale("7 publish also when the system call failed", Fault::FailedChangeUndone, "files"),
    caught(
        "7 publish also when the system call failed",
        Fault::FailedChangeUnpublished,
        "files",
        Unbalanced,
    ),
    stale("7 observe, then read", Fault::ObserveAfterRead, "readers"),
    stale(
        "7 LOOKUP observes entry, then resolves the name",
        Fault::ObserveEntryAfterResolve,
        "readers",
    ),
    stale("7 the first observer moves an untouched word", Fault::StampUntouched, "holes"),
    stale("7 reply 0 for a word that does not vouch", Fault::StampBusy, "readers"),
    stale("8 every daemon puts the same into the same slot", Fault::DaemonsHashApart, "names"),
    stale(
        "8 names that are not compared byte for byte get no entry slot",
        Fault::StampFoldedNames,
        "folding",
    ),
    stale("7 what each operation announces", Fault::Omit(O::Create, P::Entry), "names"),
    stale("7 what each operation announces", Fault::Omit(O::Create, P::Parent), "names"),
    stale("7 what each operation announces", Fault::Omit(O::CreateTrunc, P::Entry), "files"),
    stale("7 what each operation announces", Fault::Omit(O::CreateTrunc, P::Parent), "files"),
    stale("7 what each operation announces", Fault::Omit(O::CreateTrunc, P::Attr), "files"),
    stale("7 what each operation announces", Fault::Omit(O::CreateTrunc, P::Data), "files"),
    stale("7 what each operation announces", Fault::Omit(O::CreateTrunc, P::Perm), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Unlink, P::Entry), "names"),
    stale("7 what each operation announces", Fault::Omit(O::Unlink, P::Parent), "names"),
    stale("7 what each operation announces", Fault::Omit(O::Unlink, P::Attr), "names"),
    stale("7 what each operation announces", Fault::Omit(O::Link, P::Entry), "names"),
    stale("7 what each operation announces", Fault::Omit(O::Link, P::Parent), "names"),
    stale("7 what each operation announces", Fault::Omit(O::Link, P::Attr), "names"),
    stale("7 what each operation announces", Fault::Omit(O::Rename, P::Entry), "directories"),
    caught(
        "7 what each operation announces",
        Fault::Omit(O::Rename, P::NewEntry),
        "directories",
        NeitherName,
    ),
    stale("7 what each operation announces", Fault::Omit(O::Rename, P::Parent), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Rename, P::NewParent), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Rename, P::Attr), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Rename, P::OtherAttr), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Exchange, P::Entry), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Exchange, P::NewEntry), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Exchange, P::Parent), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Exchange, P::NewParent), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Exchange, P::Attr), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Exchange, P::OtherAttr), "directories"),
    stale("7 what each operation announces", Fault::Omit(O::Chmod, P::Attr), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Chmod, P::Perm), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Truncate, P::Attr), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Truncate, P::Data), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Truncate, P::Perm), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Write, P::Attr), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Write, P::Data), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Write, P::Perm), "files"),
    stale("7 what each operation announces", Fault::Omit(O::SetXattr, P::Attr), "files"),
    stale("7 what each operation announces", Fault::Omit(O::SetAcl, P::Attr), "files"),
    stale("7 what each operation announces", Fault::Omit(O::SetAcl, P::Perm), "files"),
    stale("7 what each operation announces", Fault::Omit(O::Map, P::Attr), "dax"),
    stale("7 what each operation announces", Fault::Omit(O::Map, P::Data), "dax"),
    stale(
        "7 WRITE announces perm always, not only when suid falls",
        Fault::PermOnlyIfSuidSeen,
        "files",
    ),
    stale("9 a name is locked while it is changed", Fault::NoNameLock, "names"),
    stale(
        "9 every operation that changes a name locks it",
        Fault::LockOnlyUnlinkAndRename,
        "names",
    ),
    stale(
        "9 the lock is held from before the name is looked up",
        Fault::ResolveBeforeLock,
        "names",
    ),
    stale("9 the lock is held over the system call", Fault::UnlockBeforeChange, "names"),
    harmless(
        "9 the lock is held until the change is published",
        Fault::UnlockBeforePublish,
        "names",
    ),
    stale("9 names that the host takes for one have one lock", Fault::LockByBytes, "folding"),
    stale(
        "9 who goes on without a lock marks every slot meanwhile",
        Fault::GiveUpThenSweep,
        "frozen",
    ),
    stale("9 who went on without a lock keeps its own slots busy", Fault::NothingLingers, "frozen"),
    stale(
        "9 slots linger for whoever has the lock after the change",
        Fault::LingerForFirstOwner,
        "frozen",
    ),
    stale("9 a name that lingers has its own mark", Fault::LingeringSharesHold, "frozen-dax"),
    stale(
        "9 lingering marks of a dead daemon are left, and counted",
        Fault::LingeringReaped,
        "frozen-crash",
    ),
    stale(
        "7 own stamps: only when alone (published = announced + 0xFFFF)",
        Fault::StampWithoutAlone,
        "names",
    ),
    stale("7 own stamps: only when alone (announced busy = 1)", Fault::AloneIgnoresBusy, "names"),
    stale("7 own stamps: not alone: resolve again, too", Fault::ReplyWithCreated, "names"),
    stale("6.8 held + 0x10000 in all 64 bits", Fault::OnePastWhileBusy, "files"),
    stale("6.8 own WRITE's words only if one past those held", Fault::OwnWordsAlwaysTaken, "files"),
    stale(
        "6.6 what a change of its own may have moved ends with it",
        Fault::SuidKeptOverWrite,
        "files",
    ),
    stale(
        "6.8 a moved name is kept only if its old word was one before",
        Fault::RenameStampTrusted,
        "names",
    ),
    stale(
        "6.7 a new data word only when older pages are dropped",
        Fault::PagesKeptUnderNewWord,
        "readers",
    ),
    stale("6.5 a word is stored only with its content", Fault::WordWithoutContent, "files"),
    stale("6.6 a local change ends the word", Fault::LocalEditKeepsWord, "files"),
    stale("6.3 a name needs entry and perm", Fault::PermUnchecked, "files"),
    stale("6.9 words are compared for equality", Fault::GuestComparesByOrder, "wrap"),
    caught("9 a reaper claims, then publishes", Fault::ReapWithoutClaim, "crash", MarkLost),
    stale("9 INTENT is left", Fault::ReapIntent, "crash"),
    stale("9 a mark goes in as INTENT, mark, HELD", Fault::HeldBeforeAdd, "crash"),
    stale("9 a mark goes out as INTENT, unmark, free", Fault::PublishHeld, "crash"),
    caught(
        "9 each mark in doubt is known by slot",
        Fault::ClearedBeforePublish,
        "crash",
        Unbalanced,
    ),
    caught("9 INTENT is left, and counted", Fault::IntentForgotten, "crash", Unbalanced),
    caught("9 a reaper notes what it claims", Fault::ReaperNotesNothing, "reapers", Unbalanced),
    caught("9 the lock is robust", Fault::LockNotRobust, "crash", LockLost),
    stale("9 a daemon is alive while its lock is held", Fault::ReapTheLiving, "crash"),
    caught(
        "9 all that a life writes carries its incarnation",
        Fault::LedgerWithoutTenant,
        "rows",
        MarkLost,
    ),
    stale("9 after every reap the table is swept", Fault::NoSweepOnReap, "unheard"),
    stale("9 at every start the table is swept", Fault::NoSweepAtStart, "restart"),
    stale("9 a daemon that leaves sweeps", Fault::NoSweepOnExit, "restart"),
    stale("9 marks for a sweep: taken back, they advance", Fault::HurryUndone, "hurry"),
    stale("7 a sweep advances every slot and leaves busy alone", Fault::SweepClearsBusy, "sweep"),
    stale("7 a sweep adds", Fault::SweepByStore, "sweep"),
    stale("9 a rebuild makes every word generation + 1", Fault::TableZeroed, "rebuild"),
    stale("9 a rebuild is done in place", Fault::TableReplaced, "rebuild"),
    stale("9 a rebuild makes every word generation + 1", Fault::RebuildKeepsGeneration, "rebuild"),
    stale("9 only a daemon that is alone rebuilds", Fault::RebuildUnlocked, "rebuild"),
    stale(
        "9 holds of a living front end stay over a rebuild",
        Fault::RebuildIgnoresDax,
        "dax-crash",
    ),
    stale("9 a rebuild discards ledgers before it sets words", Fault::RebuildWordsFirst, "rebuild"),
    stale("9 a writable mapping keeps attr and data busy", Fault::DaxNotHeld, "dax"),
    stale("9 busy before the mapping is made", Fault::DaxHeldAfterMap, "dax"),
    stale("9 busy until the mapping is gone", Fault::DaxReleasedBeforeUnmap, "dax"),
    stale(
        "9 one mark for all mappings, taken back with the last",
        Fault::DaxReleasedAtFirstUnmap,
        "dax",
    ),
    stale("9 marks stay until the front end has ended", Fault::DaxReleasedWithDaemon, "dax-crash"),
    stale("7 events advance the slots of what changed", Fault::EventsIgnored, "host"),
    stale(
        "7 own events: what was looked up by name may be another inode",
        Fault::OwnPidSkipped,
        "host",
    ),
    stale("7 no event is skipped for another's pid", Fault::RememberedPidSkipped, "host"),
    stale("7 what cannot be told by slot is a sweep", Fault::BlindEventWithoutSweep, "host"),
    stale("7 events lost are a sweep", Fault::OverflowWithoutSweep, "host"),
    stale("7 each daemon answers for the stamps that it gave", Fault::ElectedAlone, "echo"),
    stale("7 passed over only if the word is newer", Fault::SkipWhenDifferent, "promise"),
    stale("7 promised before the state is read", Fault::PromiseAfterRead, "echo"),
    stale("7 a promise never goes back", Fault::PromiseOverwritten, "promise"),
    stale("7 own stamps are promised, too", Fault::OwnStampNotPromised, "promise"),
    stale("7 a lost watch is a sweep", Fault::LostWithoutSweep, "deaf"),
    stale("7 a lost watch: no stamps, then the sweep", Fault::LostSweepFirst, "deaf"),
    stale("7 no stamps without a watch", Fault::LostStampsOn, "deaf"),
    stale("7 a watch is not given up under a request", Fault::UnwatchInUse, "forget"),
    stale("7 is there a watch? asked after the announce", Fault::WatchAskedAtPublish, "deaf"),
    stale("7 is there a watch? asked after the word is read", Fault::WatchCheckedBefore, "deaf"),
    stale(
        "7 the watch is installed before its object is observed",
        Fault::WatchAfterObserve,
        "inotify",
    ),
    stale("7 what is not watched is not stamped", Fault::StampUnwatched, "inotify"),
    stale(
        "7 own events: an entry is compared with its directory",
        Fault::EntryComparedAlone,
        "aba",
    ),
    stale(
        "7 own events: compared with what was read before the publish",
        Fault::KnownReadAfterPublish,
        "inotify",
    ),
    stale("7 own events are not counted (they merge)", Fault::CountOwnEvents, "inotify"),
    stale("2 busy sticks at 65,535", Fault::BusyWraps, "saturation"),
    stale("2 a busy of 65,535 stays", Fault::SaturationNotSticky, "saturation"),
];

/// What is known of a fault.
#[must_use]
pub fn entry(fault: Fault) -> Option<&'static Entry> {
    FAULTS.iter().find(|e| e.fault == fault)
}

#[cfg(test)]
#[path = "fault_table_tests.rs"]
mod tests;
