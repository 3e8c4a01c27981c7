use super::*;
use crate::logging::testing::lines_of;

#[test]
fn each_line_is_an_object_that_names_the_guest() {
    let text = lines_of(Json::new("my \"data\"", true), || {
        tracing::info!("serving /srv");
        tracing::warn!(queue = 1, why = "a\nb", guest = "another", "stopped");
    });
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!(line["guest"], "my \"data\"", "whatever an event calls itself");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(lines[0]["message"], "serving /srv");
    assert_eq!(lines[0]["level"], "info");
    assert_eq!((&lines[1]["queue"], &lines[1]["why"]), (&1.into(), &"a\nb".into()));
    assert_eq!(lines[1]["level"], "warn");
}

#[test]
fn the_time_is_left_to_a_logger_that_adds_it() {
    let text = lines_of(Json::new("data", false), || tracing::error!("gone"));
    assert_eq!(text, "{\"guest\":\"data\",\"level\":\"error\",\"message\":\"gone\"}\n");
}
