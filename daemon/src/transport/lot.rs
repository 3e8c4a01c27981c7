//! Requests that were put aside: nobody serves them, and they are answered whenever somebody has the answer.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use fuse::park::{Park, Parked};

use super::owed::Owed;
use super::request::{InProgress, Place};
use super::serve::Counters;

/// The request that is being served, and may be put aside.
pub(super) struct Lot<'a> {
    counted: Cell<Option<InProgress>>,
    place: &'a Place,
    counters: &'a Arc<Counters>,
    owed: Cell<Option<&'a mut Owed>>,
}

impl<'a> Lot<'a> {
    /// `owed`: the call that the guest is owed for earlier requests.
    pub(super) fn new(
        counted: InProgress,
        place: &'a Place,
        counters: &'a Arc<Counters>,
        owed: Option<&'a mut Owed>,
    ) -> Self {
        Self { counted: Cell::new(Some(counted)), place, counters, owed: Cell::new(owed) }
    }

    /// The count of the request, none where it was put aside; and `owed`.
    pub(super) fn into_inner(self) -> (Option<InProgress>, Option<&'a mut Owed>) {
        (self.counted.into_inner(), self.owed.into_inner())
    }
}

impl Park for Lot<'_> {
    fn park(&self) -> Option<Box<dyn Parked>> {
        let mut counted = self.counted.take()?;
        if !counted.ring.park() {
            self.counted.set(Some(counted));
            return None;
        }
        counted.parked = true;
        let (place, counters) = (self.place.clone(), Arc::clone(self.counters));
        Some(Box::new(Waiting { counted, place, counters }))
    }

    fn takes_long(&self) {
        let Some(owed) = self.owed.take() else { return };
        if let Some(counted) = self.counted.take() {
            if let Err(error) = counted.ring.settle(owed) {
                self.counters.stop(self.place.queue(), &counted.ring, &error);
            }
            self.counted.set(Some(counted));
        }
        self.owed.set(Some(owed));
    }
}

/// A request that was put aside.
struct Waiting {
    counted: InProgress,
    place: Place,
    counters: Arc<Counters>,
}

impl Parked for Waiting {
    fn answer(self: Box<Self>, reply: &[u8]) {
        let Self { counted, place, counters } = *self;
        let ring = counted.ring.clone();
        if let Err(error) = place.reply(reply, counted) {
            counters.stop(place.queue(), &ring, &error);
        }
    }
}

impl fmt::Debug for Lot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lot").field("place", self.place).finish_non_exhaustive()
    }
}
