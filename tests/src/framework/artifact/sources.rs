//! Which Debian mirror this machine uses, and which keys it trusts for it.
//!
//! Nothing of that is written down in this repository: both forms of apt's sources are read, the
//! one-line form and deb822. A suite that the machine does not use is then asked of the same
//! mirror with the same keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One source of packages, as deb822 fields with lower-case names. Continuation lines (an embedded
/// key) are kept as they are.
pub type Source = BTreeMap<String, String>;

/// Suites that only a full Debian mirror has. Security and update suites may live elsewhere.
const DEBIAN_SUITES: &[&str] = &[
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// The machine's source for Debian itself.
///
/// # Errors
/// The machine has no apt, or its apt knows no Debian mirror.
pub fn debian() -> Result<Source> {
    for file in files()? {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let sources = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => parse_deb822(&text),
            _ => parse_one_line(&text),
        };
        if let Some(source) = sources.into_iter().find(is_debian) {
            return Ok(source);
        }
    }
    bail!("apt on this machine has no Debian mirror configured")
}

/// The source with other types and suites, written as a deb822 stanza.
#[must_use]
pub fn stanza(source: &Source, types: &str, suites: &str) -> String {
    let mut text = format!("Types: {types}\n");
    for (field, value) in source {
        let value = match field.as_str() {
            "types" | "enabled" => continue,
            "suites" => suites,
            "components" => "main",
            _ => value,
        };
        text.extend([field, ": ", value, "\n"]);
    }
    text
}

fn is_debian(source: &Source) -> bool {
    let words = |field: &str| source.get(field).map_or("", String::as_str).split_whitespace();
    words("types").any(|kind| kind == "deb")
        && words("components").any(|component| component == "main")
        && words("suites").any(|suite| DEBIAN_SUITES.contains(&suite))
        && words("enabled").all(|enabled| enabled != "no")
}

/// The files that apt reads its sources from.
fn files() -> Result<Vec<PathBuf>> {
    let list = configured("Dir::Etc::sourcelist/f")?;
    let parts = configured("Dir::Etc::sourceparts/d")?;
    let mut files = vec![list];
    let entries = fs::read_dir(&parts).into_iter().flatten().flatten();
    let mut more: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "list" || kind == "sources"))
        .collect();
    more.sort();
    files.extend(more);
    Ok(files)
}

fn configured(option: &str) -> Result<PathBuf> {
    let output = Command::new("apt-config")
        .args(["shell", "VALUE", option])
        .output()
        .context("this machine has no apt")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let path = text.trim().strip_prefix("VALUE='").and_then(|rest| rest.strip_suffix('\''));
    path.map(|path| Path::new(path).to_path_buf())
        .with_context(|| format!("apt-config does not know {option}"))
}

fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut current = Source::new();
    let mut last = String::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !current.is_empty() {
                sources.push(std::mem::take(&mut current));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = current.get_mut(&last) {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((field, value)) = line.split_once(':') {
            last = field.trim().to_ascii_lowercase();
            current.insert(last.clone(), value.trim().to_owned());
        }
    }
    sources
}

fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(|line| one_line(line.split('#').next()?.trim())).collect()
}

/// `deb [option=value …] uri suite component…`
fn one_line(line: &str) -> Option<Source> {
    let (kind, mut rest) = line.split_once(char::is_whitespace)?;
    let mut source = Source::from([("types".to_owned(), kind.to_owned())]);
    rest = rest.trim_start();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, tail) = options.split_once(']')?;
        for (name, value) in options.split_whitespace().filter_map(|word| word.split_once('=')) {
            let name = match name {
                "arch" => "architectures",
                "lang" => "languages",
                "target" => "targets",
                other => other,
            };
            source.insert(name.to_owned(), value.replace(',', " "));
        }
        rest = tail;
    }
    let mut words = rest.split_whitespace();
    source.insert("uris".to_owned(), words.next()?.to_owned());
    source.insert("suites".to_owned(), words.next()?.to_owned());
    source.insert("components".to_owned(), words.collect::<Vec<_>>().join(" "));
    Some(source)
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
