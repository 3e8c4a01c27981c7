//! `samepaged`: see the library.

fn main() {}
