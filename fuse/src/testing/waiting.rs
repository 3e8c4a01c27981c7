//! A transport on which requests can be put aside.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use zerocopy::FromBytes;

use crate::abi::OutHeader;
use crate::counters::Counters;
use crate::park::{Park, Parked, Patience};

/// Puts requests aside, and passes their answers on: the request's number and the error number.
#[derive(Debug)]
pub struct WaitingRoom {
    answers: Sender<(u64, i32)>,
    counters: Arc<Counters>,
}

struct Seat(Sender<(u64, i32)>);

impl WaitingRoom {
    /// A room, and where the answers come out.
    #[must_use]
    pub fn new() -> (Self, Receiver<(u64, i32)>) {
        let (answers, receiver) = mpsc::channel();
        (Self { answers, counters: Arc::default() }, receiver)
    }

    /// Makes a request with patience; answers whether it was put aside, and what it returned.
    pub fn ask<T>(&self, unique: u64, request: impl FnOnce(&Patience<'_>) -> T) -> (bool, T) {
        let patience = Patience::new((unique, None), Some(self), &self.counters);
        let result = request(&patience);
        (patience.is_parked(), result)
    }
}

impl Park for WaitingRoom {
    fn park(&self) -> Option<Box<dyn Parked>> {
        Some(Box::new(Seat(self.answers.clone())))
    }
}

impl Parked for Seat {
    fn answer(self: Box<Self>, reply: &[u8]) {
        // A test that has seen enough does not listen any more.
        if let Ok((header, _)) = OutHeader::read_from_prefix(reply) {
            let _ = self.0.send((header.unique, -header.error));
        }
    }
}
