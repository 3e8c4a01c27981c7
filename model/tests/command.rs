//! The command: what it prints, and how it ends. What it finds in every scope is for `cargo xtask model`.

use std::process::{Command, Output};

fn model(words: &[&str]) -> (Output, String) {
    let program = env!("CARGO_BIN_EXE_protocol-model");
    let output = Command::new(program).args(words).output().expect("it runs");
    let text = String::from_utf8(output.stdout.clone()).expect("it prints text");
    (output, text)
}

#[test]
fn a_scope_and_its_faults_are_counted() {
    let (output, text) = model(&["--only", "wrap"]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("clean") && text.contains("caught"), "{text}");
    let last = text.lines().last().expect("a last line");
    assert!(last.starts_with("test result: ok. 2 passed; 0 failed; "), "{text}");
}

#[test]
fn a_scope_that_is_not_explored_to_the_end_fails() {
    let (output, text) = model(&["--only", "names", "--no-faults", "--limit", "100"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("NOT EXPLORED TO THE END") && text.contains("0 passed; 1 failed"));
}

#[test]
fn memory_is_a_bound() {
    let (output, text) = model(&["--only", "names", "--no-faults", "--memory", "0"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("NOT EXPLORED TO THE END"), "{text}");
}

#[test]
fn a_fault_is_told_with_its_rule() {
    let (output, text) = model(&["--fault", "publish-before-change"]);
    assert!(output.status.success(), "{text}");
    assert!(text.starts_with("publish-before-change: 7 publish after the change"), "{text}");
    assert!(text.contains("Then: STALE HIT"), "{text}");
}

#[test]
fn names_that_there_are_not_are_told() {
    for words in [["--only", "nowhere"], ["--fault", "nothing"]] {
        let (output, _) = model(&words);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--list"));
    }
}
