//! Operations and their outcomes, as they are written down.

use std::{fmt, io};

use rustix::io::Errno;

/// How many directories operations work in. They stay where they are.
pub const DIRECTORIES: u8 = 3;
/// How many names each of them may have.
pub const NAMES: u8 = 3;
/// How many bytes the contents of a file are: one word, which is read and written at once.
pub const WORD: u64 = 8;

const NO_LEAF: u8 = u8::MAX;

/// A name in one of the directories, or in a directory that has such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// Below [`DIRECTORIES`].
    pub directory: u8,
    /// Below [`NAMES`].
    pub name: u8,
    /// A name below that name; below [`NAMES`].
    pub leaf: Option<u8>,
}

impl Path {
    fn pack(self) -> u64 {
        u64::from(self.directory)
            | u64::from(self.name) << 8
            | u64::from(self.leaf.unwrap_or(NO_LEAF)) << 16
    }

    fn unpack(word: u64) -> Self {
        let [directory, name, leaf, ..] = word.to_le_bytes();
        Self { directory, name, leaf: (leaf != NO_LEAF).then_some(leaf) }
    }

    /// The path below the directory, as text.
    #[must_use]
    pub fn below(self) -> String {
        let name = name(self.name);
        self.leaf.map_or(name.clone(), |leaf| format!("{name}/{}", self::name(leaf)))
    }
}

/// The text of a name.
#[must_use]
pub fn name(number: u8) -> String {
    char::from(b'a' + number).to_string()
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.directory, self.below())
    }
}

macro_rules! calls {
    ($($(#[$meta:meta])* $name:ident = $number:literal),+ $(,)?) => {
        /// What is called.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Call { $($(#[$meta])* $name = $number),+ }

        impl Call {
            /// Every call.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

calls! {
    /// Make a file that must not be there; the outcome says its number.
    Create = 1,
    /// Make a file or empty the one that is there; the outcome says its number.
    CreateOrTruncate = 2,
    /// Make a directory.
    Mkdir = 3,
    /// Make a symbolic link whose target is the value.
    Symlink = 4,
    /// Remove what is no directory.
    Unlink = 5,
    /// Remove an empty directory.
    Rmdir = 6,
    /// Rename, over what is there.
    Rename = 7,
    /// Rename to a name that must not be there.
    RenameNoReplace = 8,
    /// Exchange two names.
    Exchange = 9,
    /// Give a file a second name.
    Link = 10,
    /// Change the permissions to the value.
    Chmod = 11,
    /// Change owner and group to the value.
    Chown = 12,
    /// Change the size to the value.
    Truncate = 13,
    /// Write the value, eight bytes, at the beginning.
    Write = 14,
    /// Change the time of modification to the value, in seconds.
    SetTime = 15,
    /// Set an extended attribute to the value.
    SetXattr = 16,
    /// Look at the attributes.
    Stat = 32,
    /// Open and read the first eight bytes.
    Read = 33,
    /// Read a symbolic link.
    ReadLink = 34,
    /// Read the extended attribute.
    GetXattr = 35,
    /// Ask as the user [`USER`] for the rights in the value.
    Access = 36,
    /// List a directory.
    List = 37,
}

/// The user who asks for access, and is the owner sometimes.
pub const USER: u32 = 1000;

impl Call {
    /// Whether it changes nothing, whatever the outcome.
    #[must_use]
    pub fn only_looks(self) -> bool {
        self as u8 >= Self::Stat as u8
    }

    /// Whether it has a second path.
    #[must_use]
    pub fn has_second_path(self) -> bool {
        matches!(self, Self::Rename | Self::RenameNoReplace | Self::Exchange | Self::Link)
    }
}

/// An operation to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    /// What is called.
    pub call: Call,
    /// On what.
    pub path: Path,
    /// The second path of those that have one.
    pub to: Path,
    /// With which value. Values that tell versions apart are never used twice, and never 0.
    pub value: u64,
}

impl Operation {
    /// Two words.
    #[must_use]
    pub fn pack(&self) -> [u64; 2] {
        [self.call as u64 | self.path.pack() << 8 | self.to.pack() << 32, self.value]
    }

    /// The operation in two words; `None` if there is none.
    #[must_use]
    pub fn unpack([word, value]: [u64; 2]) -> Option<Self> {
        let call = Call::ALL.iter().copied().find(|call| *call as u64 == word & 0xff)?;
        Some(Self { call, path: Path::unpack(word >> 8), to: Path::unpack(word >> 32), value })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            Call::List => write!(f, "List {}", self.path.directory)?,
            _ => write!(f, "{:?} {}", self.call, self.path)?,
        }
        if self.call.has_second_path() {
            write!(f, " → {}", self.to)?;
        }
        if self.value != 0 {
            write!(f, " ({:#o} = {0})", self.value)?;
        }
        Ok(())
    }
}

/// What something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file, or nothing was learnt.
    #[default]
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

/// What came of an operation. What a call does not tell is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// The error, or 0.
    pub errno: u32,
    /// What it is.
    pub kind: Kind,
    /// The inode's number, of files only.
    pub ino: u64,
    /// Permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Link count, of files only.
    pub links: u32,
    /// Size of a file, or the number of bytes read.
    pub size: u64,
    /// Time of modification in seconds.
    pub time: u64,
    /// Contents, extended attribute, or a link's target.
    pub word: u64,
    /// The names in a listing: bit n for name n.
    pub names: u32,
}

impl Outcome {
    /// An error.
    #[must_use]
    pub fn error(errno: Errno) -> Self {
        Self { errno: errno.raw_os_error().unsigned_abs(), ..Self::default() }
    }

    /// Whether it is this error.
    #[must_use]
    pub fn is_error(&self, errno: Errno) -> bool {
        *self == Self::error(errno)
    }

    /// Six words.
    #[must_use]
    pub fn pack(&self) -> [u64; 6] {
        [
            u64::from(self.errno) | (self.kind as u64) << 32,
            self.ino,
            u64::from(self.mode) | u64::from(self.uid) << 32,
            u64::from(self.links) | u64::from(self.names) << 32,
            self.size | self.time << 16,
            self.word,
        ]
    }

    /// The outcome in six words.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half is 32 bits")]
    pub fn unpack(words: [u64; 6]) -> Self {
        let halves = |word: u64| (word as u32, (word >> 32) as u32);
        let (errno, kind) = halves(words[0]);
        let (mode, uid) = halves(words[2]);
        let (links, names) = halves(words[3]);
        let kind = match kind {
            0 => Kind::File,
            1 => Kind::Directory,
            _ => Kind::Link,
        };
        let (size, time) = (words[4] & 0xffff, words[4] >> 16);
        Self { errno, kind, ino: words[1], mode, uid, links, size, time, word: words[5], names }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errno != 0 {
            return write!(f, "{}", io::Error::from_raw_os_error(self.errno.cast_signed()));
        }
        write!(f, "ok")?;
        if *self == Self::default() {
            return Ok(());
        }
        write!(f, " {:?}", self.kind)?;
        for (what, value) in [
            ("inode", self.ino),
            ("uid", self.uid.into()),
            ("links", self.links.into()),
            ("size", self.size),
            ("time", self.time),
            ("word", self.word),
        ] {
            if value != 0 {
                write!(f, " {what} {value}")?;
            }
        }
        if self.mode != 0 {
            write!(f, " mode {:o}", self.mode)?;
        }
        if self.names != 0 {
            write!(f, " names {:b}", self.names)?;
        }
        Ok(())
    }
}
