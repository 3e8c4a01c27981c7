//! One switch for each rule of the protocol: what happens when that rule, and no other, is broken.

use std::fmt;

use crate::check::Kind;
use crate::op::{OpKind, Part};

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    // The three verbs.
    /// The publishing add comes before the system call.
    PublishBeforeChange,
    /// Slots are only moved after the system call, as the prototype of 2018 did.
    NoAnnounce,
    /// A change whose system call failed takes its mark back as if nothing had been.
    FailedChangeUndone,
    /// A change whose system call failed is not published.
    FailedChangeUnpublished,
    // Observing.
    /// The host is read first, the words after it.
    ObserveAfterRead,
    /// LOOKUP resolves the name before it observes the entry.
    ObserveEntryAfterResolve,
    /// A word that was never touched is stamped as it is.
    StampUntouched,
    /// A word that says "busy" is stamped all the same.
    StampBusy,
    /// Two daemons put the same thing into different slots.
    DaemonsHashApart,
    /// Names of a directory that folds case get entry stamps.
    StampFoldedNames,
    // Which operation announces what.
    /// This operation does not announce this part.
    Omit(OpKind, Part),
    /// WRITE announces `perm` only if it saw the suid bit before.
    PermOnlyIfSuidSeen,
    // Name locks.
    /// No name locks.
    NoNameLock,
    /// Only operations that resolve names (UNLINK, RMDIR, RENAME) take name locks.
    LockOnlyUnlinkAndRename,
    /// Names are resolved before the lock is had.
    ResolveBeforeLock,
    /// The lock is let go before the system call.
    UnlockBeforeChange,
    /// The lock is let go after the system call, before the publish.
    UnlockBeforePublish,
    /// Where a directory folds case, the lock goes by the name's bytes.
    LockByBytes,
    /// Who gives up waiting for a lock goes on as if it had it and sweeps afterwards (the page as written).
    GiveUpThenSweep,
    /// Who goes on without a lock marks everything meanwhile, and nothing lingers.
    NothingLingers,
    /// What lingers is kept for whoever had the lock when it was given up, not for whoever has it after the change.
    LingerForFirstOwner,
    /// A slot that is held for a mapping gets no mark of its own for a name that lingers.
    LingeringSharesHold,
    /// A reaper takes a dead daemon's lingering marks back.
    LingeringReaped,
    // Stamps after a change of one's own.
    /// A reply carries the published words without the alone test.
    StampWithoutAlone,
    /// The alone test forgets that another change may have been in progress all the time.
    AloneIgnoresBusy,
    /// Not alone: publish, observe, reply with what was created.
    ReplyWithCreated,
    // Guests.
    /// A guest takes its own change's word for one past its own though it says "busy".
    OnePastWhileBusy,
    /// A guest takes the words of its own WRITE whatever it held.
    OwnWordsAlwaysTaken,
    /// A guest keeps its cached mode over its own WRITE though the suid bit is in it.
    SuidKeptOverWrite,
    /// A guest keeps a renamed dentry by the new name's stamp alone (the page as written).
    RenameStampTrusted,
    /// A guest keeps its pages when it takes a new data word.
    PagesKeptUnderNewWord,
    /// A guest takes a reply's word for attributes and not the attributes.
    WordWithoutContent,
    /// A guest changes its cached attributes before the host has, and keeps their word.
    LocalEditKeepsWord,
    /// A guest trusts the mode of a name's inode as long as the name's own word stands.
    PermUnchecked,
    /// A guest compares generations by order.
    GuestComparesByOrder,
    // Ledger, reapers, sweeps.
    /// A reaper publishes first and clears the entry after it.
    ReapWithoutClaim,
    /// A reaper publishes INTENT entries too.
    ReapIntent,
    /// The ledger says HELD before the add.
    HeldBeforeAdd,
    /// The ledger still says HELD while the word is published.
    PublishHeld,
    /// The ledger is cleared before the word is published (the page as designed).
    ClearedBeforePublish,
    /// A mark in doubt is left and not counted.
    IntentForgotten,
    /// A reaper does not note in its own ledger what it is about to publish.
    ReaperNotesNothing,
    /// A dead daemon's name locks stay locked.
    LockNotRobust,
    /// A daemon that does not answer is taken for dead.
    ReapTheLiving,
    /// Ledger entries do not tell a row's tenants apart (the page as written).
    LedgerWithoutTenant,
    /// No sweep after a reap.
    NoSweepOnReap,
    /// No sweep at start-up.
    NoSweepAtStart,
    /// A daemon that leaves does not sweep (the page as written).
    NoSweepOnExit,
    /// Marks that stand for a sweep are taken back as if nothing had been.
    HurryUndone,
    /// The sweep sets busy to 0.
    SweepClearsBusy,
    /// The sweep loads and stores instead of adding.
    SweepByStore,
    // Rebuild.
    /// The rebuilt table is zeroed.
    TableZeroed,
    /// The rebuilt table is a new file; guests still have the old one.
    TableReplaced,
    /// The rebuild only sets busy to 0.
    RebuildKeepsGeneration,
    /// The rebuild does not shut others out.
    RebuildUnlocked,
    /// The rebuild does not ask whether a dead daemon's VMM still maps files.
    RebuildIgnoresDax,
    /// The rebuild sets the words first and discards the ledgers after.
    RebuildWordsFirst,
    // DAX.
    /// A writable mapping holds nothing.
    DaxNotHeld,
    /// The hold is announced after the VMM has mapped.
    DaxHeldAfterMap,
    /// The hold is published before the VMM has unmapped.
    DaxReleasedBeforeUnmap,
    /// The first removal publishes though a second mapping stands.
    DaxReleasedAtFirstUnmap,
    /// A dead daemon's holds are published while its VMM lives.
    DaxReleasedWithDaemon,
    // Events.
    /// Events are not handled.
    EventsIgnored,
    /// Events of the daemon's own pid are passed over, whatever they tell of (the page as written).
    OwnPidSkipped,
    /// Events of a pid that once was a daemon's are skipped.
    RememberedPidSkipped,
    /// An event whose inode cannot be identified is handled without a sweep.
    BlindEventWithoutSweep,
    /// No sweep after a queue overflow.
    OverflowWithoutSweep,
    /// One daemon handles events for all: the others drop theirs.
    ElectedAlone,
    /// An event is passed over when the word differs from the promised one, not only when it is newer.
    SkipWhenDifferent,
    /// What a stamp promises is noted after the state was read.
    PromiseAfterRead,
    /// What a stamp promises is noted by a plain store, which may overwrite a newer one.
    PromiseOverwritten,
    /// Stamps of a change's own reply are not noted.
    OwnStampNotPromised,
    /// A daemon that has lost its watch does not sweep.
    LostWithoutSweep,
    /// A daemon that has lost its watch sweeps first and then stops stamping.
    LostSweepFirst,
    /// A daemon that has lost its watch goes on stamping.
    LostStampsOn,
    /// Whether the watch stands is asked before the word is read.
    WatchCheckedBefore,
    /// A watch is given up while a request under it is under way.
    UnwatchInUse,
    /// For the stamps of a change's own reply, whether the watch stands is asked when it publishes.
    WatchAskedAtPublish,
    /// The watch is installed after the state has been observed.
    WatchAfterObserve,
    /// Stamps are given though there is no watch.
    StampUnwatched,
    /// To know its own events a daemon compares what a name means, and not its directory's version.
    EntryComparedAlone,
    /// What a daemon compares with was read after the publish.
    KnownReadAfterPublish,
    /// A daemon knows its own events by counting them.
    CountOwnEvents,
    // The busy count.
    /// A full count carries into the generation.
    BusyWraps,
    /// A full count is counted down again.
    SaturationNotSticky,
}

/// What is known of a fault.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The fault.
    pub fault: Fault,
    /// The scope that catches it.
    pub scope: &'static str,
    /// What it must lead to. None: it is harmless, and the scope must show so.
    pub expected: Option<Kind>,
    /// The rule that it breaks: section of `docs/protocol.md`, and what stands there.
    pub rule: &'static str,
}

impl Fault {
    /// What it must lead to.
    #[must_use]
    pub fn expected(self) -> Option<Kind> {
        crate::fault_table::entry(self).and_then(|e| e.expected)
    }

    /// Whether states may be brought into normal form: not where words move backwards, or where a guest or daemon looks at words or values that the normal form forgets.
    #[must_use]
    pub fn may_reduce(self) -> bool {
        !matches!(
            self,
            Self::FailedChangeUndone
                | Self::ObserveAfterRead
                | Self::ObserveEntryAfterResolve
                | Self::StampWithoutAlone
                | Self::AloneIgnoresBusy
                | Self::ReplyWithCreated
                | Self::OnePastWhileBusy
                | Self::OwnWordsAlwaysTaken
                | Self::RenameStampTrusted
                | Self::PagesKeptUnderNewWord
                | Self::WordWithoutContent
                | Self::PermUnchecked
                | Self::DaemonsHashApart
                | Self::GuestComparesByOrder
                | Self::HurryUndone
                | Self::SweepByStore
                | Self::TableZeroed
                | Self::TableReplaced
                | Self::RebuildKeepsGeneration
                | Self::WatchAfterObserve
                | Self::PromiseOverwritten
                | Self::ElectedAlone
                | Self::EntryComparedAlone
                | Self::KnownReadAfterPublish
                | Self::BusyWraps
        )
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            match c {
                '(' | ',' => name.push('-'),
                ')' | ' ' => {}
                c if c.is_uppercase() => {
                    if !name.is_empty() && !name.ends_with('-') {
                        name.push('-');
                    }
                    name.extend(c.to_lowercase());
                }
                c => name.push(c),
            }
        }
        name
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
