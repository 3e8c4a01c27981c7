//! Counting what passed.

use std::fmt;
use std::ops::Add;

/// How many checks and tests came out how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Count {
    /// A single check.
    pub(crate) fn of(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }

    /// Something that could not be done here.
    pub(crate) fn skipped() -> Self {
        Self { skipped: 1, ..Self::default() }
    }

    /// The counts in a line like `test result: ok. 3 passed; 0 failed; 1 ignored; …`, which may be
    /// coloured.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let rest = line.split_once("test result: ")?.1;
        let number = |what: &str| {
            let before = rest.split(what).next()?.trim_end();
            before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        Some(Self {
            passed: number(" passed")?,
            failed: number(" failed")?,
            skipped: number(" ignored")?,
        })
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_read_in_colour_and_without() {
        let expected = Count { passed: 12, failed: 3, skipped: 4 };
        let plain =
            "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 9 filtered out";
        assert_eq!(Count::of_line(plain), Some(expected));
        let coloured = "test result: \x1b[31mFAILED\x1b[0m. 12 passed; 3 failed; 4 ignored; 0 m";
        assert_eq!(Count::of_line(coloured), Some(expected));
        assert_eq!(Count::of_line("test a ... ok"), None);
        assert_eq!(expected.to_string(), "12 passed, 3 failed, 4 skipped");
    }
}
