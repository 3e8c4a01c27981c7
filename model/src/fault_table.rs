//! Every fault, the scope that must catch it, and what it must lead to.

use crate::check::Kind;
use crate::check::Kind::{MarkLost, NeitherName, StaleHit, Unbalanced};
use crate::fault::{Entry, Fault};
use crate::op::OpKind as O;
use crate::op::Part as P;

const fn stale(fault: Fault, scope: &'static str) -> Entry {
    caught(fault, scope, StaleHit)
}

const fn caught(fault: Fault, scope: &'static str, kind: Kind) -> Entry {
    Entry { fault, scope, expected: Some(kind) }
}

const fn harmless(fault: Fault, scope: &'static str) -> Entry {
    Entry { fault, scope, expected: None }
}

/// All faults, in the order of the protocol page.
pub const FAULTS: &[Entry] = &[
    stale(Fault::PublishBeforeChange, "names"),
    stale(Fault::NoAnnounce, "names"),
    stale(Fault::FailedChangeUndone, "files"),
    caught(Fault::FailedChangeUnpublished, "files", Unbalanced),
    stale(Fault::ObserveAfterRead, "readers"),
    stale(Fault::ObserveEntryAfterResolve, "readers"),
    stale(Fault::StampBusy, "readers"),
    stale(Fault::StampFoldedNames, "folding"),
    stale(Fault::Omit(O::Create, P::Entry), "names"),
    stale(Fault::Omit(O::Create, P::Parent), "names"),
    stale(Fault::Omit(O::CreateTrunc, P::Entry), "files"),
    stale(Fault::Omit(O::CreateTrunc, P::Parent), "files"),
    stale(Fault::Omit(O::CreateTrunc, P::Attr), "files"),
    stale(Fault::Omit(O::CreateTrunc, P::Data), "files"),
    stale(Fault::Omit(O::CreateTrunc, P::Perm), "files"),
    stale(Fault::Omit(O::Unlink, P::Entry), "names"),
    stale(Fault::Omit(O::Unlink, P::Parent), "names"),
    stale(Fault::Omit(O::Unlink, P::Attr), "names"),
    stale(Fault::Omit(O::Link, P::Entry), "names"),
    stale(Fault::Omit(O::Link, P::Parent), "names"),
    stale(Fault::Omit(O::Link, P::Attr), "names"),
    stale(Fault::Omit(O::Rename, P::Entry), "directories"),
    caught(Fault::Omit(O::Rename, P::NewEntry), "directories", NeitherName),
    stale(Fault::Omit(O::Rename, P::Parent), "directories"),
    stale(Fault::Omit(O::Rename, P::NewParent), "directories"),
    stale(Fault::Omit(O::Rename, P::Attr), "directories"),
    stale(Fault::Omit(O::Rename, P::OtherAttr), "directories"),
    stale(Fault::Omit(O::Exchange, P::Entry), "directories"),
    stale(Fault::Omit(O::Exchange, P::NewEntry), "directories"),
    stale(Fault::Omit(O::Exchange, P::Parent), "directories"),
    stale(Fault::Omit(O::Exchange, P::NewParent), "directories"),
    stale(Fault::Omit(O::Exchange, P::Attr), "directories"),
    stale(Fault::Omit(O::Exchange, P::OtherAttr), "directories"),
    stale(Fault::Omit(O::Chmod, P::Attr), "files"),
    stale(Fault::Omit(O::Chmod, P::Perm), "files"),
    stale(Fault::Omit(O::Truncate, P::Attr), "files"),
    stale(Fault::Omit(O::Truncate, P::Data), "files"),
    stale(Fault::Omit(O::Truncate, P::Perm), "files"),
    stale(Fault::Omit(O::Write, P::Attr), "files"),
    stale(Fault::Omit(O::Write, P::Data), "files"),
    stale(Fault::Omit(O::Write, P::Perm), "files"),
    stale(Fault::Omit(O::SetXattr, P::Attr), "files"),
    stale(Fault::Omit(O::SetAcl, P::Attr), "files"),
    stale(Fault::Omit(O::SetAcl, P::Perm), "files"),
    stale(Fault::Omit(O::Map, P::Attr), "dax"),
    stale(Fault::Omit(O::Map, P::Data), "dax"),
    stale(Fault::PermOnlyIfSuidSeen, "files"),
    stale(Fault::NoNameLock, "names"),
    stale(Fault::LockOnlyUnlinkAndRename, "names"),
    stale(Fault::ResolveBeforeLock, "names"),
    stale(Fault::UnlockBeforeChange, "names"),
    harmless(Fault::UnlockBeforePublish, "names"),
    stale(Fault::LockByBytes, "folding"),
    stale(Fault::GiveUpThenSweep, "frozen"),
    stale(Fault::NothingLingers, "frozen"),
    stale(Fault::LingerForFirstOwner, "frozen"),
    stale(Fault::LingeringReaped, "frozen-crash"),
    stale(Fault::StampWithoutAlone, "names"),
    stale(Fault::AloneIgnoresBusy, "names"),
    stale(Fault::ReplyWithCreated, "names"),
    stale(Fault::OnePastWhileBusy, "files"),
    stale(Fault::OwnWordsAlwaysTaken, "files"),
    stale(Fault::SuidKeptOverWrite, "files"),
    stale(Fault::RenameStampTrusted, "names"),
    stale(Fault::PagesKeptUnderNewWord, "readers"),
    stale(Fault::GuestComparesByOrder, "wrap"),
    caught(Fault::ReapWithoutClaim, "crash", MarkLost),
    stale(Fault::ReapIntent, "crash"),
    stale(Fault::HeldBeforeAdd, "crash"),
    stale(Fault::LedgerClearedLast, "crash"),
    stale(Fault::ReapTheLiving, "crash"),
    caught(Fault::LedgerWithoutTenant, "rows", MarkLost),
    stale(Fault::NoSweepOnReap, "unheard"),
    stale(Fault::NoSweepAtStart, "restart"),
    stale(Fault::NoSweepOnExit, "restart"),
    stale(Fault::SweepClearsBusy, "sweep"),
    stale(Fault::SweepByStore, "sweep"),
    stale(Fault::TableZeroed, "rebuild"),
    stale(Fault::TableReplaced, "rebuild"),
    stale(Fault::RebuildKeepsGeneration, "rebuild"),
    stale(Fault::RebuildUnlocked, "rebuild"),
    stale(Fault::RebuildIgnoresDax, "dax-crash"),
    stale(Fault::RebuildWordsFirst, "rebuild"),
    stale(Fault::DaxNotHeld, "dax"),
    stale(Fault::DaxHeldAfterMap, "dax"),
    stale(Fault::DaxReleasedBeforeUnmap, "dax"),
    stale(Fault::DaxReleasedAtFirstUnmap, "dax"),
    stale(Fault::DaxReleasedWithDaemon, "dax-crash"),
    stale(Fault::EventsIgnored, "host"),
    stale(Fault::OwnPidSkipped, "host"),
    stale(Fault::RememberedPidSkipped, "host"),
    stale(Fault::BlindEventWithoutSweep, "host"),
    stale(Fault::OverflowWithoutSweep, "host"),
    stale(Fault::WatchAfterObserve, "inotify"),
    stale(Fault::StampUnwatched, "inotify"),
    stale(Fault::EntryComparedAlone, "aba"),
    stale(Fault::KnownReadAfterPublish, "inotify"),
    stale(Fault::CountOwnEvents, "inotify"),
    stale(Fault::BusyWraps, "saturation"),
    stale(Fault::SaturationNotSticky, "saturation"),
];

/// What is known of a fault.
#[must_use]
pub fn entry(fault: Fault) -> Option<&'static Entry> {
    FAULTS.iter().find(|e| e.fault == fault)
}

#[cfg(test)]
#[path = "fault_table_tests.rs"]
mod tests;
