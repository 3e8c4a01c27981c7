//! The shared directory that jobs work on.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{XattrFlags, setxattr};
use samepage_tests::framework::cleanup::Scratch;

/// Files for jobs that take one after the other.
pub(crate) const SMALL_FILES: usize = 1000;
/// Files that no job knows beforehand.
pub(crate) const COLD_FILES: usize = 128;
/// The file that is read and written.
pub(crate) const BIG: &str = "big";
pub(crate) const BIG_SIZE: u64 = 64 << 20;
/// Files in each directory of the tree.
pub(crate) const TREE_WIDTH: usize = 1000;
/// The attribute that each small file has.
pub(crate) const XATTR: &str = "user.bench";

/// The name of a small file.
pub(crate) fn small(number: usize) -> String {
    format!("file-{:04}", number % SMALL_FILES)
}

/// A directory full of files, gone when it is dropped.
pub(crate) struct Fixture {
    scratch: Scratch,
}

impl Fixture {
    /// # Errors
    /// There is no room for it.
    pub(crate) fn new() -> Result<Self> {
        let fixture = Self { scratch: Scratch::new()? };
        fs::create_dir(fixture.share())?;
        fs::create_dir(fixture.share().join("small"))?;
        fs::create_dir(fixture.share().join("work"))?;
        fs::create_dir(fixture.share().join("cold"))?;
        for number in 0..SMALL_FILES {
            let path = fixture.share().join("small").join(small(number));
            fs::write(&path, [b'x'; 100])?;
            setxattr(&path, XATTR, b"value", XattrFlags::empty())
                .context("the scratch directory's file system has no extended attributes")?;
        }
        for number in 0..COLD_FILES {
            File::create(fixture.share().join("cold").join(small(number)))?;
        }
        let mut big = File::create(fixture.share().join(BIG))?;
        let block: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
        for _ in 0..BIG_SIZE / block.len() as u64 {
            big.write_all(&block)?;
        }
        Ok(fixture)
    }

    /// Makes the directory `dirN` with N files, if a job wants it.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn directory_for(&self, job: &str) -> Result<()> {
        let Some((_, count)) = job.rsplit_once('-').filter(|(name, _)| name.starts_with("readdir"))
        else {
            return Ok(());
        };
        let directory = self.share().join(format!("dir{count}"));
        if directory.exists() {
            return Ok(());
        }
        fs::create_dir(&directory)?;
        for number in 0..count.parse::<u32>()? {
            File::create(directory.join(format!("entry-{number:06}")))?;
        }
        Ok(())
    }

    /// Makes `tree`, with so many directories of [`TREE_WIDTH`] files, less one that stands for the directory.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn tree(&self, directories: usize) -> Result<()> {
        for number in 0..directories {
            let directory = self.share().join("tree").join(format!("{number:04}"));
            fs::create_dir_all(&directory)?;
            for file in 1..TREE_WIDTH {
                File::create(directory.join(small(file)))?;
            }
        }
        Ok(())
    }

    /// What is shared.
    pub(crate) fn share(&self) -> PathBuf {
        self.scratch.path().join("share")
    }

    /// A path for sockets and logs.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        Path::new(self.scratch.path()).join(name)
    }
}
