//! What the engine costs above the floor of this machine, both measured in the same run: `cargo xtask bench engine`.
//! The tables of docs/performance.md are its output.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod changes;
mod checks;
mod crowd;
mod measure;

/// Words of an 8 MiB table.
const WORDS: u64 = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == crowd::MEMBER) {
        let [what, path, number] = [1, 2, 3].map(|n| arguments[at + n].as_str());
        return crowd::join(what, path, number.parse().unwrap());
    }
    checks::measure();
    changes::measure();
    changes::measure_sweep();
    if !arguments.iter().any(|a| a == "--alone") {
        crowd::measure();
    }
}
