//! The table's first 4 KiB.

use crate::{FIRST_SLOT, MAX_WORDS, MIN_WORDS, WORD_LEN};

/// The bytes `SAMEPAGE`, read as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"SAMEPAGE");

/// What a reader must know how to read. Any change of layout or meaning raises it.
pub const ABI_VERSION: u32 = 1;

/// Bytes of the header; slots begin behind it.
pub const HEADER_LEN: usize = 4096;

/// Bytes of a table id.
pub const TABLE_ID_LEN: usize = 16;

/// Sixteen random bytes that tell one table from every other.
pub type TableId = [u8; TABLE_ID_LEN];

/// Where the fields stand, as word numbers.
const MAGIC_WORD: usize = 0;
const VERSION_WORD: usize = 1;
const ID_WORDS: usize = 2;
const WORDS_WORD: usize = 4;
const USED_WORDS: usize = 5;

/// Byte offsets of the fields.
pub(crate) const OFFSETS: [(&str, usize); 5] = [
    ("magic", MAGIC_WORD * WORD_LEN),
    ("abi_version", VERSION_WORD * WORD_LEN),
    ("header_len", VERSION_WORD * WORD_LEN + size_of::<u32>()),
    ("table_id", ID_WORDS * WORD_LEN),
    ("words", WORDS_WORD * WORD_LEN),
];

/// What a table says about itself. Everything in the header that is not named here is zero.
///
/// ```text
/// byte  0  u64  magic        "SAMEPAGE"
///       8  u32  abi_version  1
///      12  u32  header_len   4096
///      16  [16] table_id     random
///      32  u64  words        all words of the table, the header's included; a power of two
///      40  ...  zero, up to 4096
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which table this is.
    pub id: TableId,
    /// All words of the table, the header's included.
    pub words: u64,
}

/// Why a region is no table that this reader understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It does not begin with [`MAGIC`]; what it begins with.
    Magic(u64),
    /// It is of another ABI version.
    AbiVersion(u32),
    /// Its header has another length, in bytes.
    HeaderLen(u32),
    /// The number of words is no power of two between [`MIN_WORDS`] and [`MAX_WORDS`].
    Words(u64),
    /// A byte that must be zero is not; which word of the header.
    NotZero(usize),
}

impl core::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Magic(0) => write!(f, "no magic number: the table was never finished"),
            Self::Magic(found) => write!(f, "magic number {found:#018x} is not a table's"),
            Self::AbiVersion(found) => {
                write!(f, "ABI version {found}, but this program reads version {ABI_VERSION}")
            }
            Self::HeaderLen(found) => {
                write!(f, "header of {found} bytes, but a table's has {HEADER_LEN}")
            }
            Self::Words(found) => write!(
                f,
                "{found} words, but a table has a power of two from {MIN_WORDS} to {MAX_WORDS}"
            ),
            Self::NotZero(word) => write!(f, "header word {word} must be zero and is not"),
        }
    }
}

impl core::error::Error for HeaderError {}

/// Whether a table may have this many words.
#[must_use]
pub const fn valid_words(words: u64) -> bool {
    words.is_power_of_two() && words >= MIN_WORDS && words <= MAX_WORDS
}

impl Header {
    /// The header's words in their order; those that follow are zero.
    ///
    /// A writer stores the first one, the magic number, last: a region without it is no table yet.
    #[must_use]
    pub fn encode(&self) -> [u64; USED_WORDS] {
        let (low, high) = self.id.split_at(WORD_LEN);
        [
            MAGIC,
            u64::from(ABI_VERSION) | (HEADER_LEN as u64) << 32,
            word_of(low),
            word_of(high),
            self.words,
        ]
    }

    /// Reads a header out of words that `word` fetches; each is fetched once.
    ///
    /// # Errors
    /// The first thing that is not as it must be, in the order of the fields.
    pub fn decode(mut word: impl FnMut(usize) -> u64) -> Result<Self, HeaderError> {
        let magic = word(MAGIC_WORD);
        if magic != MAGIC {
            return Err(HeaderError::Magic(magic));
        }
        let version = word(VERSION_WORD);
        if version as u32 != ABI_VERSION {
            return Err(HeaderError::AbiVersion(version as u32));
        }
        let header_len = (version >> 32) as u32;
        if header_len as usize != HEADER_LEN {
            return Err(HeaderError::HeaderLen(header_len));
        }
        let mut id = [0; TABLE_ID_LEN];
        for (i, bytes) in id.chunks_exact_mut(WORD_LEN).enumerate() {
            bytes.copy_from_slice(&word(ID_WORDS + i).to_le_bytes());
        }
        let words = word(WORDS_WORD);
        if !valid_words(words) {
            return Err(HeaderError::Words(words));
        }
        match (USED_WORDS..FIRST_SLOT as usize).find(|&i| word(i) != 0) {
            Some(i) => Err(HeaderError::NotZero(i)),
            None => Ok(Self { id, words }),
        }
    }

    /// Bytes of the whole table.
    #[must_use]
    pub const fn table_bytes(&self) -> u64 {
        self.words * WORD_LEN as u64
    }
}

/// Up to eight bytes as a little-endian word.
fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
