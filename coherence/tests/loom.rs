//! Runs every loom model, and every model again with each of its mutations, and prints what was explored.
//!
//! `cargo xtask loom`, or
//! `RUSTFLAGS="--cfg loom" cargo test -p coherence --release --test loom --target-dir target/loom`.
//! Exit status 1 when a model breaks its promise, or when it does not notice a mutation.
//!
//! Each exploration is a process of its own: a broken promise ends it on the spot, with threads in the middle of
//! whatever they were doing.

#[cfg(not(loom))]
fn main() {
    println!("loom models: skipped, they need `--cfg loom` (cargo xtask loom)");
}

#[cfg(loom)]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|a| a == "--explore") {
        Some(at) => runner::explore(&arguments[at + 1], arguments.get(at + 2)),
        None => runner::run_all(&arguments[1..]),
    }
}

#[cfg(loom)]
mod runner {
    use std::io::Write;
    use std::process::{Command, Stdio, exit};
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use coherence::models::{Model, REJECTED, all, explore as explore_model};
    use coherence::mutation::Rule;

    /// The process that explores one model.
    pub(super) fn explore(name: &str, rule: Option<&String>) {
        let Some(model) = all().into_iter().find(|m| m.name == name) else {
            eprintln!("no model is called {name:?}");
            exit(2);
        };
        let rule = rule.map(|rule| {
            Rule::named(rule, model.mutations).unwrap_or_else(|| {
                eprintln!("{name:?} has no mutation {rule:?}");
                exit(2);
            })
        });
        println!("{}", explore_model(&model, rule));
    }

    struct Outcome {
        model: usize,
        rule: Option<Rule>,
        /// Executions; none when a mutation was found out.
        states: Option<u64>,
        status: Option<i32>,
        said: String,
        took: Duration,
    }

    impl Outcome {
        fn verdict(&self) -> Result<&'static str, String> {
            match (self.rule, self.status) {
                (None, Some(0)) => Ok("holds"),
                (None, Some(REJECTED)) => Err(format!("PROMISE BROKEN: {}", self.said)),
                (Some(_), Some(REJECTED)) => Ok("rejected"),
                (Some(_), Some(0)) => Err("MUTATION NOT NOTICED".to_owned()),
                (_, status) => Err(format!("DIED ({status:?}): {}", self.said)),
            }
        }
    }

    fn run(model: usize, models: &[Model], rule: Option<Rule>) -> Outcome {
        let began = Instant::now();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--explore").arg(models[model].name).args(rule.map(|r| format!("{r:?}")));
        let output = command.stdin(Stdio::null()).output().unwrap();
        Outcome {
            model,
            rule,
            states: String::from_utf8_lossy(&output.stdout).trim().parse().ok(),
            status: output.status.code(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            took: began.elapsed(),
        }
    }

    /// Runs what the filters (substrings of model names) leave, on every core, and prints a table.
    pub(super) fn run_all(filters: &[String]) {
        let began = Instant::now();
        let models = all();
        let wanted = |m: &Model| {
            let mut filters = filters.iter().filter(|f| !f.starts_with('-')).peekable();
            filters.peek().is_none() || filters.any(|f| m.name.contains(f.as_str()))
        };
        let jobs: Vec<_> = (0..models.len())
            .filter(|&m| wanted(&models[m]))
            .flat_map(|m| {
                let broken = models[m].mutations.iter().copied().map(Some);
                std::iter::once(None).chain(broken).map(move |rule| (m, rule))
            })
            .collect();
        let mut outcomes = run_jobs(&models, jobs);
        outcomes.sort_by_key(|o| (o.model, o.rule.map(|r| r as u32 + 1)));
        let failed = print_table(&models, &outcomes);
        let holds = outcomes.iter().filter(|o| o.rule.is_none()).count();
        println!(
            "{holds} models, {} mutations, {} executions, {:.1} s",
            outcomes.len() - holds,
            outcomes.iter().filter_map(|o| o.states).sum::<u64>(),
            began.elapsed().as_secs_f64(),
        );
        exit(i32::from(failed));
    }

    fn run_jobs(models: &[Model], jobs: Vec<(usize, Option<Rule>)>) -> Vec<Outcome> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let queue = Mutex::new(jobs.into_iter());
        let (sender, outcomes) = channel();
        std::thread::scope(|scope| {
            for _ in 0..cores {
                let (sender, queue) = (sender.clone(), &queue);
                scope.spawn(move || {
                    loop {
                        let Some((model, rule)) = queue.lock().unwrap().next() else { return };
                        sender.send(run(model, models, rule)).unwrap();
                    }
                });
            }
            drop(sender);
            outcomes.into_iter().collect()
        })
    }

    /// Returns whether anything failed.
    fn print_table(models: &[Model], outcomes: &[Outcome]) -> bool {
        let mut out = std::io::stdout().lock();
        let mut failed = false;
        writeln!(
            out,
            "{:<28} {:<20} {:>12} {:>9}  outcome",
            "model", "mutation", "executions", "time"
        )
        .unwrap();
        for outcome in outcomes {
            let verdict = outcome.verdict().unwrap_or_else(|why| {
                failed = true;
                Box::leak(why.into_boxed_str())
            });
            writeln!(
                out,
                "{:<28} {:<20} {:>12} {:>7.2} s  {verdict}",
                models[outcome.model].name,
                outcome.rule.map_or("-".to_owned(), |r| format!("{r:?}")),
                outcome.states.map_or("-".to_owned(), |n| n.to_string()),
                outcome.took.as_secs_f64(),
            )
            .unwrap();
        }
        failed
    }
}
