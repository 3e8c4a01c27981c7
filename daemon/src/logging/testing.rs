//! What a format makes of events.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::Registry;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::layer::Layered;
use tracing_subscriber::layer::SubscriberExt;

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

/// The lines that `format` writes while `act` runs.
pub(super) fn lines_of<F>(format: F, act: impl FnOnce()) -> String
where
    F: FormatEvent<Registry, DefaultFields> + Send + Sync + 'static,
{
    let writer = Lines::default();
    let kept = writer.clone();
    let layer =
        tracing_subscriber::fmt::layer().event_format(format).with_writer(move || writer.clone());
    let subscriber: Layered<_, Registry> = Registry::default().with(layer);
    tracing::subscriber::with_default(subscriber, act);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}
