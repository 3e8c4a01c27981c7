//! `protocol-model`: explores the coherence protocol and prints what it found.

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use protocol_model::explore::{Bounds, Progress};
use protocol_model::fault_table::FAULTS;
use protocol_model::report::{Display, Plan, explain, run};
use protocol_model::scopes;

/// Explores every scope of the coherence protocol's model, then breaks one rule after the other and sees that each is caught.
///
/// Exits with 1 if the clean model is wrong anywhere, or if a broken rule is not caught. docs/model.md says what all of
/// this means.
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  protocol-model\n  protocol-model --only crash\n  protocol-model --fault no-name-lock\n  protocol-model --long --no-faults"
)]
struct Cli {
    /// Explore the deeper scopes, too
    #[arg(long)]
    long: bool,
    /// Explore only this scope, and the faults that belong to it
    #[arg(long, value_name = "SCOPE")]
    only: Option<String>,
    /// Explore only the clean model
    #[arg(long)]
    no_faults: bool,
    /// Tell the shortest way in which breaking this rule goes wrong
    #[arg(long, value_name = "NAME")]
    fault: Option<String>,
    /// List scopes and faults
    #[arg(long)]
    list: bool,
    /// Print the tables in Markdown
    #[arg(long)]
    markdown: bool,
    /// Give up on a scope after so many states
    #[arg(long, default_value_t = 400_000_000, value_name = "STATES")]
    limit: u64,
    /// Give up on a scope when its states take so much memory
    #[arg(long, default_value_t = 4096, value_name = "MIB")]
    memory: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        return list();
    }
    let bounds = Bounds { states: cli.limit, bytes: cli.memory << 20 };
    if let Some(name) = &cli.fault {
        return tell(name, bounds);
    }
    if let Some(name) = cli.only.as_deref().filter(|name| scopes::find(name).is_none()) {
        eprintln!("protocol-model: no scope is called {name}; --list names them all");
        return ExitCode::from(2);
    }
    let plan = Plan {
        long: cli.long,
        only: cli.only,
        skip_faults: cli.no_faults,
        markdown: cli.markdown,
        bounds,
    };
    let mut screen = Screen::new();
    let count = run(&plan, &mut screen);
    screen.line(&count.to_string());
    ExitCode::from(u8::from(count.failed != 0))
}

fn list() -> ExitCode {
    for scope in scopes::default().iter().chain(&scopes::deeper()) {
        println!("scope {:14} {} ({})", scope.name, scope.about, scope.budget);
    }
    for entry in FAULTS {
        println!("fault {:32} in {:13} {}", entry.fault.name(), entry.scope, entry.rule);
    }
    ExitCode::SUCCESS
}

fn tell(name: &str, bounds: Bounds) -> ExitCode {
    let Some(entry) = FAULTS.iter().find(|e| e.fault.name() == name) else {
        eprintln!("protocol-model: no fault is called {name}; --list names them all");
        return ExitCode::from(2);
    };
    if let Some(story) = explain(entry, bounds) {
        println!("{story}");
        ExitCode::SUCCESS
    } else {
        println!("{name}: nothing goes wrong in the scope \"{}\"", entry.scope);
        ExitCode::from(u8::from(entry.expected.is_some()))
    }
}

/// Lines on standard output, and how far it is on standard error: on a terminal in one line that is written anew, else
/// a line now and then.
struct Screen {
    terminal: bool,
    began: Instant,
    what: String,
    shown: Instant,
    dirty: bool,
}

impl Screen {
    fn new() -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        Self { terminal, began: now, what: String::new(), shown: now, dirty: false }
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.dirty) {
            eprint!("\r\x1b[K");
        }
    }
}

impl Display for Screen {
    fn line(&mut self, line: &str) {
        self.wipe();
        println!("{line}");
    }

    fn progress(&mut self, what: &str, p: Progress) {
        let now = Instant::now();
        if what != self.what {
            what.clone_into(&mut self.what);
            (self.began, self.shown) = (now, now);
        }
        let pause = Duration::from_millis(if self.terminal { 200 } else { 30_000 });
        if now - self.shown < pause {
            return;
        }
        self.shown = now;
        let rate = u128::from(p.states) / (now - self.began).as_millis().max(1);
        let line = format!(
            "{what}: {} states, {rate} thousand a second, depth {}, {} waiting, {} MiB",
            p.states,
            p.depth,
            p.waiting,
            p.bytes >> 20
        );
        if self.terminal {
            self.wipe();
            eprint!("{line}");
            let _ = std::io::stderr().flush();
            self.dirty = true;
        } else {
            eprintln!("{line}");
        }
    }
}
