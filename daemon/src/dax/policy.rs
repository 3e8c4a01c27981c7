//! Which files are mapped at all.

use std::str::FromStr;

use super::PAGE;

/// Which files a guest that leaves the choice to the daemon (`-o dax=inode`, Linux's default) maps. A guest that mounts
/// with `-o dax=always` maps all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None.
    Never,
    /// Files that consist of whole pages and that nobody may execute.
    ///
    /// QEMU cannot map the page that a file ends in. And it maps files for writing only, while Linux refuses to execute
    /// what is open for writing.
    #[default]
    Inode,
    /// Of those, the ones that have at least so many bytes.
    Size(u64),
    /// Of those, the ones that are marked: their attribute `user.samepage.dax` is `1`.
    Xattr,
    /// All regular files.
    Always,
}

impl Policy {
    /// Whether a regular file of this mode and size is mapped. `is_marked` is asked where it matters.
    #[must_use]
    pub fn maps(self, mode: u32, size: u64, is_marked: &dyn Fn() -> bool) -> bool {
        let can_be = mode & 0o111 == 0 && size > 0 && size.is_multiple_of(PAGE);
        match self {
            Self::Never => false,
            Self::Inode => can_be,
            Self::Size(least) => can_be && size >= least,
            Self::Xattr => can_be && is_marked(),
            Self::Always => true,
        }
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "inode" => Ok(Self::Inode),
            "xattr" => Ok(Self::Xattr),
            "always" => Ok(Self::Always),
            _ => text
                .strip_prefix("size=")
                .and_then(bytes)
                .map(Self::Size)
                .ok_or_else(|| "write never, inode, size=1M, xattr or always".to_owned()),
        }
    }
}

/// Bytes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize(u64);

impl WindowSize {
    /// What Linux sets up at once.
    pub const CHUNK: u64 = 2 << 20;

    /// A mapping for each chunk of it, and as many for files that grow, fit into what QEMU has room for.
    pub const MAX: u64 = 256 << 20;

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for WindowSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        bytes(text)
            .filter(|bytes| (Self::CHUNK..=Self::MAX).contains(bytes))
            .filter(|bytes| bytes.is_multiple_of(Self::CHUNK))
            .map(Self)
            .ok_or_else(|| {
                "a multiple of 2M from 2M to 256M is wanted, for instance 128M".to_owned()
            })
    }
}

/// A number of bytes, with K, M or G behind it.
fn bytes(text: &str) -> Option<u64> {
    let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
    let unit = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    digits.parse().ok().and_then(|number: u64| number.checked_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_mapped_that_can_be_and_is_wanted() {
        let maps = |policy: &str, mode, size, marked: bool| {
            policy.parse::<Policy>().unwrap().maps(mode, size, &|| marked)
        };
        for policy in ["inode", "size=8K", "xattr"] {
            assert!(maps(policy, 0o644, 2 * PAGE, true), "{policy}");
            for (mode, size) in [(0o755, 2 * PAGE), (0o644, 0), (0o644, 2 * PAGE + 1)] {
                assert!(!maps(policy, mode, size, true), "{policy} {mode:o} {size}");
            }
        }
        assert!(maps("inode", 0o644, PAGE, false) && !maps("size=8K", 0o644, PAGE, true));
        assert!(!maps("xattr", 0o644, PAGE, false));
        assert!(maps("always", 0o755, 1, false) && !maps("never", 0o644, PAGE, true));
        for wrong in ["", "size", "size=", "size=1T", "size=-1", "size=99999999999G", "XATTR"] {
            assert!(wrong.parse::<Policy>().is_err(), "{wrong}");
        }
    }
}
