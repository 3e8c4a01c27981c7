use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_line_begins_with_the_guest() {
    let writer = Lines::default();
    let kept = writer.clone();
    let format =
        tracing_subscriber::fmt::format().without_time().with_target(false).with_ansi(false);
    let subscriber = tracing_subscriber::fmt()
        .event_format(Named::new("data", format))
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("serving /srv");
        tracing::warn!(queue = 1, "stopped");
    });
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text, "guest=data  INFO serving /srv\nguest=data  WARN stopped queue=1\n");
}

#[test]
fn names_of_several_words_are_quoted() {
    assert_eq!(prefix("vm-1.data"), "guest=vm-1.data");
    assert_eq!(prefix("my data"), "guest=\"my data\"");
    assert_eq!(prefix("a\nlevel=error"), "guest=\"a\\nlevel=error\"");
}
