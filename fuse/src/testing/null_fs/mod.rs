//! A file system that answers everything and keeps nothing.

pub mod answers;
mod operations;

use std::fmt::{Debug, Display};
use std::fs::File;
use std::io::Result;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::abi::InitFlags;
use crate::errno;
use crate::ids::Context;
use crate::park::{Later, Patience};

/// A file system that answers everything from [`answers`] and keeps nothing, but for a record of how it was called.
#[derive(Debug, Default)]
pub struct NullFs {
    wanted: InitFlags,
    file: Option<File>,
    calls: Option<Mutex<Vec<String>>>,
    errno: AtomicI32,
    held: Mutex<Option<Vec<Later>>>,
}

impl NullFs {
    /// Wants all that a guest offers.
    #[must_use]
    pub fn new() -> Self {
        Self { wanted: InitFlags::all(), ..Self::default() }
    }

    /// Keeps a record of its calls, too.
    #[must_use]
    pub fn recording() -> Self {
        Self { calls: Some(Mutex::default()), ..Self::new() }
    }

    /// Wants this of a guest's offer.
    #[must_use]
    pub fn wanting(self, wanted: InitFlags) -> Self {
        Self { wanted, ..self }
    }

    /// Reads, writes and maps this file. Without one, READ answers zeros, and WRITE looks at the data and drops it.
    #[must_use]
    pub fn with_file(self, file: File) -> Self {
        Self { file: Some(file), ..self }
    }

    /// From now on every operation that can fail does, with this error number; 0: none.
    pub fn fail(&self, errno: i32) {
        // Relaxed: tests set it between requests.
        self.errno.store(errno, Ordering::Relaxed);
    }

    /// The calls since the last time.
    #[must_use]
    pub fn take_calls(&self) -> Vec<String> {
        let calls = self.calls.as_ref().map(|calls| calls.lock());
        calls
            .map(|calls| std::mem::take(&mut *calls.unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }

    /// Locks that are waited for are waited for from now on; else they are had at once.
    pub fn hold_locks(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// Those who wait for locks.
    #[must_use]
    pub fn waiting(&self) -> Vec<Later> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn wait(&self, patience: Option<&Patience<'_>>) -> Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(patience), Some(held)) = (patience, &mut *held) {
            held.push(patience.park()?);
        }
        Ok(())
    }

    fn call(&self, ctx: &Context, name: &str, arguments: &[&dyn Debug]) -> Result<()> {
        self.note(&format_args!("{name} {}:{}", ctx.uid, ctx.gid), arguments);
        // Relaxed: see `fail`.
        match self.errno.load(Ordering::Relaxed) {
            0 => Ok(()),
            number => Err(errno::error(number)),
        }
    }

    fn note(&self, call: &dyn Display, arguments: &[&dyn Debug]) {
        if let Some(calls) = &self.calls {
            let line =
                arguments.iter().fold(call.to_string(), |line, next| format!("{line} {next:?}"));
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}
