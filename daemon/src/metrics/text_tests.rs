use super::*;

#[test]
fn families_and_samples() {
    let mut text = Text::default();
    text.family("requests_total", Kind::Counter, "Requests.");
    text.sample("requests_total", &[("opcode", "LOOKUP"), ("queue", "1")], 7);
    text.family("threads", Kind::Gauge, "Threads.");
    text.sample("threads", &[], 3);
    let expected = "# HELP requests_total Requests.\n\
                    # TYPE requests_total counter\n\
                    requests_total{opcode=\"LOOKUP\",queue=\"1\"} 7\n\
                    # HELP threads Threads.\n\
                    # TYPE threads gauge\n\
                    threads 3\n";
    assert_eq!(text.finish(), expected);
}
