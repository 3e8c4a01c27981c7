//! `--xattrmap`: other names for extended attributes on the host than in the guest.
//!
//! The language is virtiofsd's, so that its users' rules mean the same here.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::io;
use std::str::FromStr;

use fuse::errno;

/// An attribute that says what a program may do, which the host drops when the file changes: under that name alone.
const CAPABILITY: &CStr = c"security.capability";

/// Rules; the first that matches a name decides. Without a rule nothing is mapped, but with rules a name that none
/// matches is refused to the guest and hidden from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XattrMap {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kind: Kind,
    /// The rule is about names that the guest asks for.
    client: bool,
    /// The rule is about names that the host lists.
    server: bool,
    /// What a guest's name begins with.
    key: Vec<u8>,
    /// What the host's name begins with.
    prepend: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Prefix,
    Ok,
    Bad,
    Unsupported,
}

impl XattrMap {
    /// What the host calls the guest's `name`.
    ///
    /// # Errors
    /// `EPERM` and `EOPNOTSUPP` as the rules say, `ERANGE` for a name that becomes too long.
    pub(super) fn to_host<'a>(&self, name: &'a CStr) -> io::Result<Cow<'a, CStr>> {
        if self.rules.is_empty() {
            return Ok(Cow::Borrowed(name));
        }
        let matches = |rule: &&Rule| rule.client && name.to_bytes().starts_with(&rule.key);
        let rule = self.rules.iter().find(matches).ok_or_else(|| errno::error(errno::EPERM))?;
        match rule.kind {
            Kind::Ok => Ok(Cow::Borrowed(name)),
            Kind::Bad => Err(errno::error(errno::EPERM)),
            Kind::Unsupported => Err(errno::error(errno::EOPNOTSUPP)),
            Kind::Prefix => {
                let mapped = [&rule.prepend, name.to_bytes()].concat();
                // Neither part holds a NUL: one was an argument of the program, the other a C string.
                let mapped = CString::new(mapped).map_err(|_| errno::error(errno::EINVAL))?;
                Ok(Cow::Owned(mapped))
            }
        }
    }

    /// What the guest calls the host's `name`; none: it is hidden.
    fn to_guest<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        let matches = |rule: &&Rule| rule.server && name.starts_with(&rule.prepend);
        let rule = self.rules.iter().find(matches)?;
        match rule.kind {
            Kind::Ok => Some(name),
            Kind::Bad | Kind::Unsupported => None,
            Kind::Prefix => name.get(rule.prepend.len()..),
        }
    }

    /// A list of names, each with a NUL behind it, as the guest shall see it.
    pub(super) fn list_to_guest(&self, names: Vec<u8>) -> Vec<u8> {
        if self.rules.is_empty() {
            return names;
        }
        let mut list = Vec::with_capacity(names.len());
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            if let Some(name) = self.to_guest(name) {
                list.extend_from_slice(name);
                list.push(0);
            }
        }
        list
    }

    /// Where the guest's capabilities of programs are, if the host's kernel does not know them as such: then it does
    /// not drop them either when the file changes.
    pub(super) fn foreign_capability(&self) -> Option<CString> {
        let name = self.to_host(CAPABILITY).ok()?;
        (*name != *CAPABILITY).then(|| name.into_owned())
    }
}

impl FromStr for XattrMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        let mut rest = text.trim_start();
        while let Some(separator) = rest.chars().next() {
            let mut fields = Fields { separator, rest: &rest[separator.len_utf8()..] };
            let kind = fields.next()?;
            if kind == "map" {
                let (key, prepend) = (fields.next()?, fields.next()?);
                if !fields.rest.trim().is_empty() {
                    return Err("map must be the last rule".to_owned());
                }
                rules.extend(expanded(key, prepend));
            } else {
                rules.push(Rule::new(kind, fields.next()?, fields.next()?, fields.next()?)?);
            }
            rest = fields.rest.trim_start();
        }
        if rules.is_empty() {
            return Err("there is no rule; write for instance :map::user.virtiofs.:".to_owned());
        }
        Ok(Self { rules })
    }
}

/// The fields of one rule, each with the separator behind it.
struct Fields<'a> {
    separator: char,
    rest: &'a str,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a str, String> {
        let (field, rest) = self.rest.split_once(self.separator).ok_or_else(|| {
            let (separator, rest) = (self.separator, self.rest);
            format!(
                "{rest:?} lacks a field or its {separator:?}; write :TYPE:SCOPE:KEY:PREPEND: or :map:KEY:PREPEND:"
            )
        })?;
        self.rest = rest;
        Ok(field)
    }
}

impl Rule {
    fn new(kind: &str, scope: &str, key: &str, prepend: &str) -> Result<Self, String> {
        let kind = match kind {
            "prefix" => Kind::Prefix,
            "ok" => Kind::Ok,
            "bad" => Kind::Bad,
            "unsupported" => Kind::Unsupported,
            _ => {
                return Err(format!(
                    "{kind:?} is no type; write prefix, ok, bad, unsupported or map"
                ));
            }
        };
        let (client, server) = match scope {
            "client" => (true, false),
            "server" => (false, true),
            "all" => (true, true),
            _ => return Err(format!("{scope:?} is no scope; write client, server or all")),
        };
        Ok(Self { kind, client, server, key: key.into(), prepend: prepend.into() })
    }

    fn all(kind: Kind, key: &str, prepend: &str) -> Self {
        Self { kind, client: true, server: true, key: key.into(), prepend: prepend.into() }
    }
}

/// What `map` is short for.
fn expanded(key: &str, prepend: &str) -> Vec<Rule> {
    let prefix = Rule::all(Kind::Prefix, key, prepend);
    if key.is_empty() {
        return vec![prefix, Rule::all(Kind::Bad, "", "")];
    }
    vec![
        prefix,
        // What the host has under the guest's name is not the guest's.
        Rule { client: false, ..Rule::all(Kind::Bad, "", key) },
        // Nobody gets at mapped attributes by the host's name for them.
        Rule { server: false, ..Rule::all(Kind::Bad, prepend, "") },
        Rule::all(Kind::Ok, "", ""),
    ]
}

#[cfg(any(test, feature = "fuzzing"))]
impl XattrMap {
    /// Maps `names`, each with a NUL behind it, in both directions.
    ///
    /// # Panics
    /// Where what came back is nothing that a rule makes of the name.
    pub(crate) fn try_out(&self, names: &[u8]) {
        for name in names.split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            if let Ok(mapped) = self.to_host(name) {
                assert!(mapped.to_bytes().ends_with(name.to_bytes()));
            }
            if let Some(shown) = self.to_guest(name.to_bytes()) {
                assert!(name.to_bytes().ends_with(shown));
            }
        }
        let list = self.list_to_guest(names.to_vec());
        assert!(list.len() <= names.len() + 1);
        self.foreign_capability();
    }
}

#[cfg(test)]
#[path = "xattrmap_tests.rs"]
mod tests;
