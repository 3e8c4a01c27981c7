//! `protocol-model`: explores the coherence protocol and prints what it found.

use std::process::ExitCode;

use clap::Parser;
use protocol_model::fault_table::FAULTS;
use protocol_model::report::{Plan, explain, run};

/// Explores every scope of the coherence protocol's model, then breaks one rule after the other and sees that each is caught.
///
/// Exits with 1 if the clean model is wrong anywhere, or if a broken rule is not caught.
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  protocol-model\n  protocol-model --only crash\n  protocol-model --explain no-name-lock\n  protocol-model --long --no-faults"
)]
struct Cli {
    /// Explore the deeper scopes (about an hour on one core)
    #[arg(long)]
    long: bool,
    /// Explore only this scope, and the faults that belong to it
    #[arg(long, value_name = "SCOPE")]
    only: Option<String>,
    /// Explore only the clean model
    #[arg(long)]
    no_faults: bool,
    /// Tell how breaking this rule goes wrong
    #[arg(long, value_name = "FAULT")]
    explain: Option<String>,
    /// List scopes and faults
    #[arg(long)]
    list: bool,
    /// Print the tables in Markdown
    #[arg(long)]
    markdown: bool,
    /// Give up on a scope after so many states
    #[arg(long, default_value_t = 150_000_000, value_name = "STATES")]
    limit: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        return list();
    }
    if let Some(name) = &cli.explain {
        return tell(name, cli.long, cli.limit);
    }
    let plan = Plan {
        long: cli.long,
        only: cli.only,
        skip_faults: cli.no_faults,
        markdown: cli.markdown,
        limit: cli.limit,
    };
    let failures = run(&plan, &mut |line| println!("{line}"));
    if failures.scopes + failures.faults == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "protocol-model: {} scopes went wrong, {} broken rules did not do what they must",
        failures.scopes, failures.faults
    );
    ExitCode::FAILURE
}

fn list() -> ExitCode {
    for scope in protocol_model::scopes::all(false) {
        println!("scope {:12} {}", scope.name, scope.about);
    }
    for entry in FAULTS {
        println!("fault {} (scope {})", entry.fault, entry.scope);
    }
    ExitCode::SUCCESS
}

fn tell(name: &str, long: bool, limit: u64) -> ExitCode {
    let Some(entry) = FAULTS.iter().find(|e| e.fault.name() == name) else {
        eprintln!("protocol-model: no fault is called {name}; --list names them all");
        return ExitCode::from(2);
    };
    if let Some(story) = explain(entry, long, limit) {
        println!("{story}");
        ExitCode::SUCCESS
    } else {
        println!("{name}: nothing goes wrong in the scope {}", entry.scope);
        ExitCode::from(u8::from(entry.expected.is_some()))
    }
}
