//! Runs every scope and every fault, and prints what came of it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::explore::{Outcome, explore};
use crate::fault::Entry;
use crate::fault_table::FAULTS;
use crate::model::Model;
use crate::scope::Scope;
use crate::scopes;
use crate::story;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The deeper scopes.
    pub long: bool,
    /// Only this scope.
    pub only: Option<String>,
    /// Only the clean model.
    pub skip_faults: bool,
    /// Print tables in Markdown.
    pub markdown: bool,
    /// Give up on a scope after so many states.
    pub limit: u64,
}

/// Counts what did not come out as it must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Scopes in which the clean model is wrong, or that were not explored to the end.
    pub scopes: usize,
    /// Faults that were not caught, or "harmless" ones that are not.
    pub faults: usize,
}

/// The processor time that this thread has used: what a run costs, however busy the machine is.
#[must_use]
pub fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Runs the plan; prints each line as soon as it is known.
pub fn run(plan: &Plan, out: &mut dyn FnMut(&str)) -> Failures {
    let chosen: Vec<Scope> = scopes::all(plan.long)
        .into_iter()
        .filter(|s| plan.only.as_deref().is_none_or(|only| only == s.name))
        .collect();
    let mut failures = Failures::default();
    let table = Table { markdown: plan.markdown };
    let mut total = (0, Duration::ZERO);
    out(&table.row(&["scope", "states", "steps", "depth", "widest", "CPU s", "verdict"]));
    out(&table.rule(7));
    for scope in &chosen {
        let model = Model::new(scope.clone(), None);
        let outcome = explore(&model, plan.limit);
        total = (total.0 + outcome.states, total.1 + outcome.cpu);
        out(&table.row(&scope_row(scope, &outcome).each_ref().map(String::as_str)));
        if let Some(found) = &outcome.counterexample {
            out(&story::tell(&model, found));
        }
        failures.scopes += usize::from(outcome.counterexample.is_some() || !outcome.complete);
    }
    if !plan.skip_faults {
        failures.faults = run_faults(&chosen, plan, &table, &mut total, out);
    }
    out(&format!("\n{} states in {:.1} s of processor time", total.0, total.1.as_secs_f64()));
    failures
}

fn run_faults(
    chosen: &[Scope],
    plan: &Plan,
    table: &Table,
    total: &mut (u64, Duration),
    out: &mut dyn FnMut(&str),
) -> usize {
    let mut failed = 0;
    out("");
    out(&table.row(&[
        "broken rule",
        "scope",
        "found",
        "steps to it",
        "states",
        "CPU s",
        "verdict",
    ]));
    out(&table.rule(7));
    for entry in FAULTS {
        // The shallower scope serves as well: a fault that it shows, the deeper one shows too.
        let Some(scope) = chosen.iter().find(|s| s.name == entry.scope) else { continue };
        let outcome = explore(&Model::new(scope.clone(), Some(entry.fault)), plan.limit);
        *total = (total.0 + outcome.states, total.1 + outcome.cpu);
        let (row, as_expected) = fault_row(entry, &outcome);
        out(&table.row(&row.each_ref().map(String::as_str)));
        failed += usize::from(!as_expected);
    }
    failed
}

fn scope_row(scope: &Scope, outcome: &Outcome) -> [String; 7] {
    let verdict = match (&outcome.counterexample, outcome.complete) {
        (Some(found), _) => format!("WRONG: {:?}", found.violation.kind()),
        (None, true) => "clean".into(),
        (None, false) => "NOT EXPLORED TO THE END".into(),
    };
    [
        scope.name.into(),
        outcome.states.to_string(),
        outcome.steps.to_string(),
        outcome.depth.to_string(),
        outcome.widest.to_string(),
        format!("{:.1}", outcome.cpu.as_secs_f64()),
        verdict,
    ]
}

fn fault_row(entry: &Entry, outcome: &Outcome) -> ([String; 7], bool) {
    let found = outcome.counterexample.as_ref();
    let (verdict, as_expected) = match (entry.expected, found) {
        (Some(_), Some(_)) => ("caught", true),
        (Some(_), None) => ("NOT CAUGHT", false),
        (None, None) if outcome.complete => ("harmless", true),
        (None, None) => ("NOT EXPLORED TO THE END", false),
        (None, Some(_)) => ("NOT HARMLESS", false),
    };
    let row = [
        entry.fault.name(),
        entry.scope.into(),
        found.map_or("-".into(), |f| format!("{:?}", f.violation.kind())),
        found.map_or("-".into(), |f| f.actions.len().to_string()),
        outcome.states.to_string(),
        format!("{:.1}", outcome.cpu.as_secs_f64()),
        verdict.into(),
    ];
    (row, as_expected)
}

/// Explores the scope of a fault and tells the counterexample. None: it was not caught.
#[must_use]
pub fn explain(entry: &Entry, long: bool, limit: u64) -> Option<String> {
    let scope = scopes::all(long).into_iter().find(|s| s.name == entry.scope)?;
    let about = format!("{}, in the scope \"{}\": {}\n", entry.fault, scope.name, scope.about);
    let model = Model::new(scope, Some(entry.fault));
    let outcome = explore(&model, limit);
    outcome.counterexample.map(|found| about + &story::tell(&model, &found))
}

struct Table {
    markdown: bool,
}

impl Table {
    fn row(&self, cells: &[&str; 7]) -> String {
        let [name, one, two, three, four, five, verdict] = cells;
        if self.markdown {
            return format!("| {} |", cells.join(" | "));
        }
        format!("{name:30} {one:>12} {two:>11} {three:>11} {four:>9} {five:>7}  {verdict}")
    }

    fn rule(&self, columns: usize) -> String {
        if self.markdown { format!("|{}", " --- |".repeat(columns)) } else { "-".repeat(100) }
    }
}
