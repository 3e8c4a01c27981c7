//! loom models of the shipped code: every interleaving and every outcome that the memory model allows.
//!
//! Each model states one promise of the protocol and runs the functions that the daemon runs, over a few words. Each
//! has *mutations*: rules that are broken one at a time, to show that the model would notice. `cargo xtask loom` runs
//! them all (`coherence/tests/loom.rs` is the runner).

mod changes;
mod deaths;
mod kit;
mod locks;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::mutation::Rule;

/// One promise, and how it may be broken.
#[derive(Debug)]
pub struct Model {
    /// Short name.
    pub name: &'static str,
    /// What the model shows.
    pub promise: &'static str,
    /// One execution; loom runs it once for every interleaving. The argument is the variant.
    pub body: fn(u32),
    /// Variants, explored one after the other: mostly the step at which somebody dies.
    pub variants: u32,
    /// The most preemptions explored in one execution; none: all interleavings.
    pub preemptions: Option<usize>,
    /// Rules whose breaking this model must notice.
    pub mutations: &'static [Rule],
}

/// Every model.
#[must_use]
pub fn all() -> Vec<Model> {
    [changes::models(), deaths::models(), locks::models()].into_iter().flatten().collect()
}

/// Explores a model, with `broken` not followed. Returns how many executions there were.
///
/// When a promise is broken the process ends with status [`REJECTED`]: a model has no way to unwind through threads
/// that stand in the middle of a change.
#[must_use]
pub fn explore(model: &Model, broken: Option<Rule>) -> u64 {
    // Counted outside loom's sight: not `disallowed`, since no interleaving depends on it.
    #[allow(clippy::disallowed_types)]
    static EXECUTIONS: AtomicU64 = AtomicU64::new(0);
    crate::mutation::break_rule(broken);
    for variant in 0..model.variants {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = model.preemptions;
        builder.max_branches = 10_000;
        let body = model.body;
        builder.check(move || {
            EXECUTIONS.fetch_add(1, Ordering::Relaxed);
            body(variant);
        });
    }
    EXECUTIONS.load(Ordering::Relaxed)
}

/// Exit status of a process in which a model found its promise broken.
pub const REJECTED: i32 = 3;
