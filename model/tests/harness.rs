//! Everything, as the command does it: every scope clean, every broken rule caught.

use protocol_model::report::{Failures, Plan, run};

#[test]
fn every_scope_is_clean_and_every_broken_rule_is_caught() {
    let plan = Plan { limit: 20_000_000, ..Plan::default() };
    let mut report = String::new();
    let failures = run(&plan, &mut |line| {
        println!("{line}");
        report.push_str(line);
        report.push('\n');
    });
    assert_eq!(failures, Failures::default(), "\n{report}");
    assert!(report.matches("clean").count() >= 20 && report.matches("caught").count() >= 90);
}
