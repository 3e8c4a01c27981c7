//! One line for whatever is wrong with the command line.

use clap::error::ErrorKind;
use thiserror::Error;

/// What is wrong with the command line and what to do about it, in one line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// clap's answer: help and version are no errors, and its errors become one line.
pub(super) fn help_or_error(error: &clap::Error) -> Result<String, UsageError> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Ok(text),
        _ => Err(UsageError(format!("{}; see samepaged --help", one_line(&text)))),
    }
}

/// The paragraphs of clap's message but for the usage and the pointer to the help.
fn one_line(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .filter(|paragraph| !paragraph.starts_with("Usage:"))
        .filter(|paragraph| !paragraph.starts_with("For more information"));
    let line = paragraphs.collect::<Vec<_>>().join("; ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}
