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
    /// All regular files.
    Always,
}

impl Policy {
    /// Whether a regular file of this mode and size is mapped.
    #[must_use]
    pub fn maps(self, mode: u32, size: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Inode => mode & 0o111 == 0 && size > 0 && size.is_multiple_of(PAGE),
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
            "always" => Ok(Self::Always),
            _ => Err("write never, inode or always".to_owned()),
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
        let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
        let unit = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (digits, unit) = unit.unwrap_or((text, 1));
        let bytes = digits.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        bytes
            .filter(|bytes| (Self::CHUNK..=Self::MAX).contains(bytes))
            .filter(|bytes| bytes.is_multiple_of(Self::CHUNK))
            .map(Self)
            .ok_or_else(|| {
                "a multiple of 2M from 2M to 256M is wanted, for instance 128M".to_owned()
            })
    }
}
