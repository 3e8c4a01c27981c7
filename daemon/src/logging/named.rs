//! Log lines that say whose daemon writes them.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Lines of `inner`, each behind `guest=NAME`.
#[derive(Debug)]
pub(super) struct Named<F> {
    prefix: String,
    inner: F,
}

impl<F> Named<F> {
    pub(super) fn new(guest: &str, inner: F) -> Self {
        Self { prefix: prefix(guest), inner }
    }
}

/// A name that could be mistaken for more than one word stands in quotes.
fn prefix(guest: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@+".contains(c);
    if guest.chars().all(plain) { format!("guest={guest}") } else { format!("guest={guest:?}") }
}

impl<S, N, F> FormatEvent<S, N> for Named<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "{} ", self.prefix)?;
        self.inner.format_event(context, writer, event)
    }
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
