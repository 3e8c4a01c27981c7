//! Runs every scope and every fault, and prints what came of it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::explore::{Bounds, Outcome, Progress, explore_watched};
use crate::fault::Entry;
use crate::fault_table::FAULTS;
use crate::model::Model;
use crate::scope::Scope;
use crate::scopes;
use crate::story;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The deeper scopes, too.
    pub long: bool,
    /// Only this scope.
    pub only: Option<String>,
    /// Only the clean model.
    pub skip_faults: bool,
    /// Print tables in Markdown.
    pub markdown: bool,
    /// When to give up on a scope.
    pub bounds: Bounds,
}

/// How many scopes and faults came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Scopes that were explored to the end and found clean, faults that did what they must.
    pub passed: usize,
    /// Scopes in which the clean model is wrong, or that were not explored to the end; faults that were not caught, or
    /// "harmless" ones that are not.
    pub failed: usize,
    /// Deeper scopes that were not asked for.
    pub skipped: usize,
}

/// Where a run shows what it does.
pub trait Display {
    /// A line of the report.
    fn line(&mut self, line: &str);

    /// How far the exploration is that is under way.
    fn progress(&mut self, _what: &str, _progress: Progress) {}
}

/// The processor time that this thread has used: what a run costs, however busy the machine is.
#[must_use]
pub fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Runs the plan; shows each line as soon as it is known.
pub fn run(plan: &Plan, display: &mut dyn Display) -> Count {
    let deeper = scopes::deeper();
    let mut count = Count { skipped: if plan.long { 0 } else { deeper.len() }, ..Count::default() };
    let mut chosen = scopes::default();
    if plan.long || plan.only.is_some() {
        chosen.extend(deeper);
    }
    chosen.retain(|s| plan.only.as_deref().is_none_or(|only| only == s.name));
    let mut run =
        Run { plan, display, broken: Vec::new(), states: 0, cpu: Duration::ZERO, bytes: 0 };
    let table = Table { markdown: plan.markdown };
    run.display.line(&table.row(&SCOPE_HEADINGS));
    run.display.line(&table.rule(true));
    for scope in &chosen {
        count = count + run.scope(scope, &table);
    }
    run.print_faults(&table);
    run.display.line(&format!(
        "\n{} states in {:.1} s of processor time, at most {} MiB for them at a time",
        run.states,
        run.cpu.as_secs_f64(),
        mebibytes(run.bytes)
    ));
    count
}

const SCOPE_HEADINGS: [&str; 8] =
    ["scope", "states", "steps", "depth", "MiB", "CPU s", "caught", "verdict"];
const FAULT_HEADINGS: [&str; 7] =
    ["switch", "leads to", "in steps", "states", "CPU s", "verdict", "rule that it breaks"];

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    display: &'a mut dyn Display,
    /// Rows of the table of faults, with the scope of each.
    broken: Vec<(String, [String; 7])>,
    states: u64,
    cpu: Duration,
    bytes: u64,
}

impl Run<'_> {
    /// Explores a scope, and again with each fault that belongs to it.
    fn scope(&mut self, scope: &Scope, table: &Table) -> Count {
        let model = Model::new(scope.clone(), None);
        let outcome = self.explore(&model, &scope.name);
        let clean = outcome.counterexample.is_none() && outcome.complete;
        let mut faults = Count::default();
        for entry in FAULTS.iter().filter(|e| e.scope == scope.name && !self.plan.skip_faults) {
            let model = Model::new(scope.clone(), Some(entry.fault));
            let outcome = self.explore(&model, &format!("{} in {}", entry.fault, scope.name));
            let (row, as_expected) = fault_row(entry, &outcome);
            self.broken.push((scope.name.clone(), row));
            faults = faults + Count::of(as_expected);
        }
        let row = scope_row(scope, &outcome, faults);
        self.display.line(&table.row(&row.each_ref().map(String::as_str)));
        if let Some(found) = &outcome.counterexample {
            self.display.line(&story::tell(&model, found));
        }
        faults + Count::of(clean)
    }

    fn explore(&mut self, model: &Model, what: &str) -> Outcome {
        let display = &mut *self.display;
        let outcome = explore_watched(model, self.plan.bounds, &mut |p| display.progress(what, p));
        self.states += outcome.states;
        self.cpu += outcome.cpu;
        self.bytes = self.bytes.max(outcome.bytes);
        outcome
    }

    fn print_faults(&mut self, table: &Table) {
        let mut last = "";
        for (scope, row) in &self.broken {
            if scope != last {
                self.display.line(&format!("\nRules broken in the scope \"{scope}\"\n"));
                self.display.line(&table.fault(&FAULT_HEADINGS));
                self.display.line(&table.rule(false));
                last = scope;
            }
            self.display.line(&table.fault(&row.each_ref().map(String::as_str)));
        }
    }
}

fn scope_row(scope: &Scope, outcome: &Outcome, faults: Count) -> [String; 8] {
    let verdict = match (&outcome.counterexample, outcome.complete) {
        (Some(found), _) => format!("WRONG: {:?}", found.violation.kind()),
        (None, true) => "clean".into(),
        (None, false) => "NOT EXPLORED TO THE END".into(),
    };
    let all = faults.passed + faults.failed;
    [
        scope.name.clone(),
        outcome.states.to_string(),
        outcome.steps.to_string(),
        outcome.depth.to_string(),
        mebibytes(outcome.bytes).to_string(),
        format!("{:.1}", outcome.cpu.as_secs_f64()),
        if all == 0 { "-".into() } else { format!("{} of {all}", faults.passed) },
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
        found.map_or("-".into(), |f| format!("{:?}", f.violation.kind())),
        found.map_or("-".into(), |f| f.actions.len().to_string()),
        outcome.states.to_string(),
        format!("{:.1}", outcome.cpu.as_secs_f64()),
        verdict.into(),
        entry.rule.into(),
    ];
    (row, as_expected)
}

/// Explores the scope of a fault and tells the shortest counterexample. None: it was not caught.
#[must_use]
pub fn explain(entry: &Entry, bounds: Bounds) -> Option<String> {
    let scope = scopes::find(entry.scope)?;
    let about = format!(
        "{}: {}\nIn the scope \"{}\": {}.\n\n",
        entry.fault, entry.rule, scope.name, scope.about
    );
    let model = Model::new(scope, Some(entry.fault));
    let outcome = explore_watched(&model, bounds, &mut |_| {});
    outcome.counterexample.map(|found| about + &story::tell(&model, &found))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

impl Count {
    fn of(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// The line that `cargo test` ends with, so that both are counted in the same way.
impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.failed == 0 { "ok" } else { "FAILED" };
        let Self { passed, failed, skipped } = self;
        write!(f, "test result: {verdict}. {passed} passed; {failed} failed; {skipped} ignored")
    }
}

struct Table {
    markdown: bool,
}

impl Table {
    fn row(&self, cells: &[&str; 8]) -> String {
        let [name, one, two, three, four, five, six, verdict] = cells;
        if self.markdown {
            return format!("| {} |", cells.join(" | "));
        }
        format!("{name:28} {one:>11} {two:>11} {three:>9} {four:>6} {five:>7} {six:>9}  {verdict}")
    }

    fn fault(&self, cells: &[&str; 7]) -> String {
        let [name, one, two, three, four, verdict, rule] = cells;
        if self.markdown {
            return format!("| {} |", cells.join(" | "));
        }
        format!("{name:28} {one:>11} {two:>9} {three:>9} {four:>6}  {verdict:10} {rule}")
    }

    fn rule(&self, scopes: bool) -> String {
        if self.markdown {
            format!("|{}", " --- |".repeat(if scopes { 8 } else { 7 }))
        } else {
            "-".repeat(100)
        }
    }
}
