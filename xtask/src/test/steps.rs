//! What is checked, and in which order: the quickest to fail comes first.

use std::io::{BufRead, BufReader, IsTerminal};
use std::num::NonZero;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use super::{Arguments, cargo_command, prepare};
use crate::test::count::Count;
use crate::{deny, loom, model, tidy};

/// One step.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) name: &'static str,
    /// Whether it runs only when everything is asked for, not tests by name.
    whole_only: bool,
    action: fn(&Arguments) -> Count,
}

const STEPS: &[Step] = &[
    Step { name: "tidy", whole_only: true, action: |_| check_tidy() },
    Step { name: "format", whole_only: true, action: |_| check(&["fmt", "--all", "--check"]) },
    Step { name: "lints", whole_only: true, action: |_| check(LINTS) },
    Step { name: "tests without a VM", whole_only: false, action: without_vm },
    Step { name: "loom models", whole_only: true, action: |_| explore(loom::command(&[])) },
    Step { name: "protocol model", whole_only: true, action: protocol_model },
    Step { name: "tests in VMs", whole_only: false, action: in_vms },
    Step { name: "dependencies", whole_only: true, action: |_| check_dependencies() },
];

const LINTS: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];

impl Step {
    pub(super) fn run(self, arguments: &Arguments) -> Count {
        (self.action)(arguments)
    }
}

/// The steps that these arguments ask for.
pub(super) fn all(arguments: &Arguments) -> impl Iterator<Item = Step> {
    STEPS.iter().copied().filter(|step| arguments.filter.is_none() || !step.whole_only)
}

fn check_tidy() -> Count {
    let outcome = tidy::run(&tidy::Arguments {});
    if let Err(error) = &outcome {
        println!("tidy: {error:#}");
    }
    Count::of(outcome.is_ok_and(|code| code == ExitCode::SUCCESS))
}

fn explore(mut command: Command) -> Count {
    Count::of(command.status().is_ok_and(|status| status.success()))
}

fn check(words: &[&str]) -> Count {
    Count::of(cargo_command(words).status().is_ok_and(|status| status.success()))
}

fn check_dependencies() -> Count {
    if let Some(program) = deny::installed() {
        return Count::of(deny::check(&program).is_ok_and(|success| success));
    }
    println!("skipped: no cargo-deny here; `cargo xtask deny` builds it and runs it");
    Count::skipped()
}

fn without_vm(arguments: &Arguments) -> Count {
    let everyone_else = ["test", "--workspace", "--exclude", "samepage-tests", "--no-fail-fast"];
    let the_rig = ["test", "--package", "samepage-tests", "--lib", "--no-fail-fast"];
    run_tests(&everyone_else, arguments, &[]) + run_tests(&the_rig, arguments, &[])
}

/// A VM keeps a processor busy, so as many tests run at once as there are processors.
fn in_vms(arguments: &Arguments) -> Count {
    if let Err(error) = prepare(arguments) {
        println!("cannot prepare VMs: {error:#}");
        return Count::of(false);
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(4).to_string();
    let words = ["test", "--package", "samepage-tests", "--test", "vm", "--no-fail-fast"];
    run_tests(&words, arguments, &["--test-threads", &threads])
}

/// Every scope and every broken rule is a test.
fn protocol_model(arguments: &Arguments) -> Count {
    let long = arguments.long.then(|| "--long".to_owned());
    run_counted(&mut model::command(long.as_slice()))
}

/// Run `cargo test`, show its output, and count.
fn run_tests(words: &[&str], arguments: &Arguments, more: &[&str]) -> Count {
    let mut command = cargo_command(words);
    if let Some(daemon) = &arguments.daemon {
        command.env("SAMEPAGE_DAEMON", daemon);
    }
    command.arg("--").args(more);
    if arguments.long {
        command.arg("--include-ignored");
    }
    if std::io::stdout().is_terminal() {
        command.args(["--color", "always"]);
    }
    command.args(&arguments.filter);
    run_counted(&mut command)
}

/// Run a command that ends as tests do. One that fails without a failed test (it did not compile)
/// counts as one failure.
fn run_counted(command: &mut Command) -> Count {
    let (count, success) = count_output(command);
    if success || count.failed > 0 { count } else { count + Count::of(false) }
}

fn count_output(command: &mut Command) -> (Count, bool) {
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("cannot run cargo: {error}");
            return (Count::default(), false);
        }
    };
    let mut count = Count::default();
    let stdout = child.stdout.take().map(BufReader::new);
    for line in stdout.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        println!("{line}");
        count = count + Count::of_line(&line).unwrap_or_default();
    }
    (count, child.wait().is_ok_and(|status| status.success()))
}
