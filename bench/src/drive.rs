//! Load: one thread a queue keeps every slot of it busy until the time is over.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::jobs::Lane;
use crate::vhost::{Completion, Queue};
use crate::wire::{self, Request};

/// Nanoseconds up to a minute, to three digits.
pub(crate) type Latencies = Histogram<u64>;

/// A histogram that fits all of them together.
///
/// # Errors
/// Never: the bounds are constants.
pub(crate) fn latencies() -> Result<Latencies> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Load {
    /// Of whole operations.
    pub(crate) latencies: Latencies,
    /// From the first operation to the end of the last.
    pub(crate) elapsed: Duration,
}

/// A queue, and a lane for each slot of it that is to be busy.
pub(crate) type Work<'q> = (&'q mut Queue, Vec<Box<dyn Lane>>);

/// Keeps queues busy for `time`; every operation that was begun is finished.
///
/// # Errors
/// An answer that the job did not expect.
pub(crate) fn run(work: Vec<Work<'_>>, time: Duration) -> Result<Load> {
    let begun = Instant::now();
    let until = begun + time;
    let parts: Vec<Result<Latencies>> = thread::scope(|scope| {
        let threads: Vec<_> = work
            .into_iter()
            .map(|(queue, lanes)| scope.spawn(move || Driver::new(queue, lanes, until)?.run()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a driver panicked")))
            .collect()
    });
    let elapsed = begun.elapsed();
    let mut all = latencies()?;
    for part in parts {
        all.add(part?)?;
    }
    Ok(Load { latencies: all, elapsed })
}

struct Driver<'q> {
    queue: &'q mut Queue,
    lanes: Vec<(Box<dyn Lane>, Instant)>,
    until: Instant,
    request: Request,
    reply: Vec<u8>,
    latencies: Latencies,
}

impl<'q> Driver<'q> {
    fn new(queue: &'q mut Queue, lanes: Vec<Box<dyn Lane>>, until: Instant) -> Result<Self> {
        let lanes = lanes.into_iter().map(|lane| (lane, Instant::now())).collect();
        let latencies = latencies()?;
        Ok(Self { queue, lanes, until, request: Request::default(), reply: Vec::new(), latencies })
    }

    fn run(mut self) -> Result<Latencies> {
        let mut busy = 0;
        for slot in 0..self.lanes.len() {
            self.begin(slot)?;
            busy += 1;
        }
        self.queue.kick_if_wanted()?;
        while busy > 0 {
            let mut any = false;
            while let Some(completion) = self.queue.completed()? {
                any = true;
                if !self.go_on(completion)? {
                    busy -= 1;
                }
            }
            if any {
                self.queue.kick_if_wanted()?;
            } else {
                self.queue.wait()?;
            }
        }
        Ok(self.latencies)
    }

    /// The first request of a slot's next operation.
    fn begin(&mut self, slot: usize) -> Result<()> {
        self.lanes[slot].1 = Instant::now();
        let room = self.lanes[slot].0.next(None, &mut self.request)?;
        let room = room.context("an operation without a request")?;
        self.queue.submit(slot, self.request.bytes(), self.request.header(), room)
    }

    /// The next request after a reply. False: there is none, and time is over.
    fn go_on(&mut self, completion: Completion) -> Result<bool> {
        let slot = completion.slot;
        let (lane, begun) = &mut self.lanes[slot];
        // Of data, only the header: looking at it would be the front end's cost.
        self.queue.reply(completion, &mut self.reply, lane.looks_at())?;
        let answer = wire::answer(&self.reply)?;
        if let Some(room) = lane.next(Some(answer), &mut self.request)? {
            let (bytes, header) = (self.request.bytes(), self.request.header());
            self.queue.submit(slot, bytes, header, room)?;
            return Ok(true);
        }
        self.latencies.saturating_record(begun.elapsed().as_nanos() as u64);
        if Instant::now() >= self.until {
            return Ok(false);
        }
        self.begin(slot)?;
        Ok(true)
    }
}
