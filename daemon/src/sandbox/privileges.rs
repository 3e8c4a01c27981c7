//! Capabilities: what is left of them once the daemon serves.

use std::io;
use std::str::FromStr;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
};

use super::Takes;

/// What serving a directory takes: to act for every user of the guest.
const NEEDED: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETFCAP);

/// `--modcaps`: `+NAME` and `-NAME`, with colons between them. The last word on a name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModCaps {
    add: CapabilitySet,
    drop: CapabilitySet,
}

impl Default for ModCaps {
    fn default() -> Self {
        Self { add: CapabilitySet::empty(), drop: CapabilitySet::empty() }
    }
}

impl FromStr for ModCaps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut changes = Self::default();
        for word in text.split(':') {
            let (sign, name) = word.split_at_checked(1).ok_or("write +NAME or -NAME")?;
            let capability = named(name)?;
            let (into, out_of) = match sign {
                "+" => (&mut changes.add, &mut changes.drop),
                "-" => (&mut changes.drop, &mut changes.add),
                _ => return Err(format!("{word} has no + or - before it")),
            };
            into.insert(capability);
            out_of.remove(capability);
        }
        Ok(changes)
    }
}

/// The capability that is called `sys_admin`, `SYS_ADMIN` or `CAP_SYS_ADMIN`.
fn named(name: &str) -> Result<CapabilitySet, String> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    CapabilitySet::from_name(short).ok_or_else(|| format!("{name} is no capability"))
}

impl ModCaps {
    /// Whether a capability was taken away that file handles need.
    #[must_use]
    pub fn forbids_file_handles(&self) -> bool {
        self.drop.contains(CapabilitySet::DAC_READ_SEARCH)
    }

    /// What is kept.
    fn kept(&self, takes: Takes) -> CapabilitySet {
        let mut kept = NEEDED;
        kept.set(CapabilitySet::DAC_READ_SEARCH, takes.file_handles);
        kept.set(CapabilitySet::SYS_ADMIN, takes.marks);
        kept.set(CapabilitySet::SYS_PTRACE, takes.looks);
        (kept | self.add) - self.drop
    }
}

/// Gives every other capability up, for this process and whatever it might execute. What the daemon has not got it does
/// not get.
///
/// # Errors
/// Those of `capset(2)`.
pub(super) fn reduce(changes: &ModCaps, takes: Takes) -> io::Result<()> {
    let held = capabilities(None)?;
    let kept = changes.kept(takes);
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for capability in (CapabilitySet::all() - kept).iter() {
            // EINVAL: one that this kernel does not know.
            let _ = rustix::thread::remove_capability_from_bounding_set(capability);
        }
    }
    clear_ambient_capability_set()?;
    let permitted = held.permitted & kept;
    let sets = CapabilitySets {
        effective: held.effective & kept,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Takes = Takes { file_handles: false, marks: false, looks: false };

    #[test]
    fn names_are_read_in_any_case_with_or_without_cap() {
        let changes: ModCaps = "+sys_admin:-MKNOD:+CAP_LEASE".parse().unwrap();
        assert_eq!(changes.add, CapabilitySet::SYS_ADMIN | CapabilitySet::LEASE);
        assert_eq!(changes.drop, CapabilitySet::MKNOD);
        for wrong in ["", "+", "sys_admin", "+no_such", "+chown:", "*chown", "+chown,-mknod"] {
            assert!(wrong.parse::<ModCaps>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_word_on_a_capability_counts() {
        let changes: ModCaps = "-chown:+chown".parse().unwrap();
        assert!(changes.kept(NOTHING).contains(CapabilitySet::CHOWN));
        let changes: ModCaps = "+sys_admin:-sys_admin".parse().unwrap();
        assert!(!changes.kept(Takes { marks: true, ..NOTHING }).contains(CapabilitySet::SYS_ADMIN));
    }

    #[test]
    fn file_handles_take_a_capability_more() {
        let none = ModCaps::default();
        assert_eq!(none.kept(NOTHING), NEEDED);
        assert_eq!(
            none.kept(Takes { file_handles: true, ..NOTHING }) - NEEDED,
            CapabilitySet::DAC_READ_SEARCH
        );
        assert_eq!(none.kept(Takes { looks: true, ..NOTHING }) - NEEDED, CapabilitySet::SYS_PTRACE);
        assert!("-dac_read_search".parse::<ModCaps>().unwrap().forbids_file_handles());
    }
}
