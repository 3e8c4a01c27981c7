use super::*;
use crate::logging::testing::lines_of;

#[test]
fn each_line_begins_with_the_guest() {
    let format =
        tracing_subscriber::fmt::format().without_time().with_target(false).with_ansi(false);
    let text = lines_of(Named::new("data", format), || {
        tracing::info!("serving /srv");
        tracing::warn!(queue = 1, "stopped");
    });
    assert_eq!(text, "guest=data  INFO serving /srv\nguest=data  WARN stopped queue=1\n");
}

#[test]
fn names_of_several_words_are_quoted() {
    assert_eq!(prefix("vm-1.data"), "guest=vm-1.data");
    assert_eq!(prefix("my data"), "guest=\"my data\"");
    assert_eq!(prefix("a\nlevel=error"), "guest=\"a\\nlevel=error\"");
}
