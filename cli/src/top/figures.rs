//! What a daemon says of itself: Prometheus' text format.

use std::collections::BTreeMap;

/// A page of figures.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Without labels.
    plain: BTreeMap<String, f64>,
    /// Requests and errors, by opcode.
    pub(super) opcodes: BTreeMap<String, (f64, f64)>,
    pub(super) guest: String,
    pub(super) directory: String,
}

impl Figures {
    /// What is understood of a page; the rest is left out.
    pub(super) fn parse(page: &str) -> Self {
        let mut figures = Self::default();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse() else { continue };
            figures.take(name, value);
        }
        figures
    }

    /// A figure without labels; 0 where there is none.
    pub(super) fn get(&self, name: &str) -> f64 {
        self.plain.get(name).copied().unwrap_or(0.0)
    }

    fn take(&mut self, name: &str, value: f64) {
        let Some((family, labels)) = name.split_once('{') else {
            self.plain.insert(name.to_owned(), value);
            return;
        };
        let opcode = || label(labels, "opcode").unwrap_or_default();
        match family {
            "samepaged_requests_total" => self.opcodes.entry(opcode()).or_default().0 = value,
            "samepaged_request_errors_total" => self.opcodes.entry(opcode()).or_default().1 = value,
            "samepaged_share_info" => {
                self.guest = label(labels, "guest").unwrap_or_default();
                self.directory = label(labels, "directory").unwrap_or_default();
            }
            _ => {}
        }
    }
}

/// The value of a label, of which three characters are escaped.
fn label(labels: &str, name: &str) -> Option<String> {
    let rest = labels.split_once(&format!("{name}=\""))?.1;
    let mut value = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}
