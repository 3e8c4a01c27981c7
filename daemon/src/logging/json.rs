//! Log lines as JSON objects: `time`, `level`, `guest`, `message`, and an event's other fields by their names.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// One object a line.
#[derive(Debug)]
pub(super) struct Json {
    guest: String,
    /// The logger may add the time itself.
    timed: bool,
}

impl Json {
    pub(super) fn new(guest: &str, timed: bool) -> Self {
        Self { guest: guest.to_owned(), timed }
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let Fields(mut line) = fields;
        // After the event's own: none of these can be made to look like another.
        if self.timed {
            let mut time = String::new();
            SystemTime.format_time(&mut Writer::new(&mut time))?;
            line.insert("time".to_owned(), time.into());
        }
        line.insert("level".to_owned(), event.metadata().level().as_str().to_lowercase().into());
        line.insert("guest".to_owned(), self.guest.as_str().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// An event's fields.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
