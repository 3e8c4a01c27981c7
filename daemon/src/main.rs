//! `samepaged`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    samepaged::run(std::env::args_os())
}
