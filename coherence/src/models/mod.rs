//! loom models of the shipped code: every interleaving and every outcome that the memory model allows.
//!
//! Each model states one promise of the protocol and runs the functions that the daemon runs, over a few words. Each
//! has *mutations*: rules that are broken one at a time, to show that the model would notice. `cargo xtask loom` runs
//! them all (`coherence/tests/loom.rs` is the runner).

mod changes;
mod cuts;
mod deaths;
mod kit;
mod locks;
mod waits;

use std::sync::Mutex;

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

impl Model {
    /// All interleavings, one variant.
    const fn new(name: &'static str, promise: &'static str, body: fn(u32)) -> Self {
        Self { name, promise, body, variants: 1, preemptions: None, mutations: &[] }
    }

    const fn variants(self, variants: u32) -> Self {
        Self { variants, ..self }
    }

    const fn preemptions(self, at_most: usize) -> Self {
        Self { preemptions: Some(at_most), ..self }
    }

    const fn breaking(self, mutations: &'static [Rule]) -> Self {
        Self { mutations, ..self }
    }
}

/// Every model.
#[must_use]
pub fn all() -> Vec<Model> {
    [changes::models(), deaths::models(), locks::models(), cuts::models(), waits::models()]
        .into_iter()
        .flatten()
        .collect()
}

/// Explores a model, with `broken` not followed. Returns how many executions there were.
///
/// When a promise is broken the process ends with status [`REJECTED`]: a model has no way to unwind through threads
/// that stand in the middle of a change.
#[must_use]
pub fn explore(model: &Model, broken: Option<Rule>) -> u64 {
    // Out of loom's sight: no interleaving depends on it.
    static EXECUTIONS: Mutex<u64> = Mutex::new(0);
    let count = |more| {
        let mut executions = EXECUTIONS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *executions += more;
        *executions
    };
    crate::mutation::break_rule(broken);
    for variant in 0..model.variants {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = model.preemptions;
        builder.max_branches = 10_000;
        let body = model.body;
        builder.check(move || {
            count(1);
            body(variant);
        });
    }
    count(0)
}

/// Exit status of a process in which a model found its promise broken.
pub const REJECTED: i32 = 3;
