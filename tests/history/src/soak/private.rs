//! What one machine does in a directory of its own, and knows the outcome of.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Result, ensure};
use fastrand::Rng;

use crate::memory::Words;

/// Files of the tree that comes and goes.
const FILES: usize = 24;
/// The longest file of the tree, in bytes.
const SMALL: usize = 8 << 10;
/// The longest that the file grows which stays, in bytes.
const LARGE: usize = 512 << 10;
/// The most that one operation writes or reads, in bytes.
const PIECE: usize = 16 << 10;
/// Operations on the file that stays, in one round.
const OPERATIONS: usize = 12;
/// Size of the file that is mapped, in bytes.
const MAPPED: u64 = 64 << 10;
const WORD: usize = size_of::<u64>();

/// A directory, and what must be in it.
pub(super) struct Private {
    directory: PathBuf,
    random: Rng,
    /// What was written to the file `data`.
    data: Vec<u8>,
}

impl Private {
    pub(super) fn new(directory: PathBuf, random: Rng) -> Result<Self> {
        File::create(directory.join("data"))?;
        File::create(directory.join("mapped"))?.set_len(MAPPED)?;
        Ok(Self { directory, random, data: Vec::new() })
    }

    pub(super) fn round(&mut self) -> Result<()> {
        self.tree()?;
        self.contents()?;
        self.mapping()
    }

    /// A tree is made, looked at, moved and removed.
    fn tree(&mut self) -> Result<()> {
        let (tree, moved) = (self.directory.join("tree"), self.directory.join("moved"));
        let mut files = Vec::new();
        for number in 0..FILES {
            let name = format!("{}/{number}", number % 3);
            if number < 3 {
                fs::create_dir_all(tree.join(number.to_string()))?;
            }
            let bytes = bytes(&mut self.random, SMALL);
            fs::write(tree.join(&name), &bytes)?;
            files.push((name, bytes));
        }
        symlink("0/0", tree.join("symlink"))?;
        fs::hard_link(tree.join("0/0"), tree.join("1/link"))?;
        fs::rename(&tree, &moved)?;
        ensure!(!tree.exists(), "{} is still there after its rename", tree.display());
        for (name, bytes) in &files {
            check_file(&moved.join(name), bytes)?;
        }
        ensure!(
            fs::read(moved.join("symlink"))? == files[0].1,
            "the symbolic link leads elsewhere"
        );
        let links = fs::metadata(moved.join("0/0"))?.nlink();
        ensure!(links == 2, "{links} links after link(2)");
        let listed = fs::read_dir(moved.join("1"))?.count();
        ensure!(listed == FILES / 3 + 1, "{listed} entries in a directory of {}", FILES / 3 + 1);
        fs::remove_dir_all(&moved)?;
        ensure!(fs::read_dir(&self.directory)?.count() == 2, "what was removed is still listed");
        Ok(())
    }

    /// A file that stays is written, cut and read at random.
    fn contents(&mut self) -> Result<()> {
        let path = self.directory.join("data");
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        for _ in 0..OPERATIONS {
            match self.random.u32(0..10) {
                0..4 => self.write(&file)?,
                4..8 => self.compare(&file)?,
                8 => self.cut(&file)?,
                _ => file.sync_all()?,
            }
        }
        let (size, wanted) = (fs::metadata(&path)?.len(), self.data.len());
        ensure!(size == wanted as u64, "{size} bytes instead of {wanted}");
        Ok(())
    }

    fn write(&mut self, file: &File) -> Result<()> {
        let at = self.random.usize(0..=self.data.len().min(LARGE - PIECE));
        let piece = bytes(&mut self.random, PIECE);
        file.write_all_at(&piece, at as u64)?;
        let end = at + piece.len();
        self.data.resize(self.data.len().max(end), 0);
        self.data[at..end].copy_from_slice(&piece);
        Ok(())
    }

    fn compare(&mut self, file: &File) -> Result<()> {
        let at = self.random.usize(0..=self.data.len());
        let end = self.data.len().min(at + PIECE);
        let mut found = vec![0; end - at];
        file.read_exact_at(&mut found, at as u64)?;
        ensure!(found == self.data[at..end], "bytes {at} to {end} are not what was written");
        Ok(())
    }

    fn cut(&mut self, file: &File) -> Result<()> {
        let size = self.random.usize(0..LARGE);
        file.set_len(size as u64)?;
        self.data.resize(size, 0);
        Ok(())
    }

    /// What is stored through a mapping is read, and what is written is loaded.
    fn mapping(&mut self) -> Result<()> {
        let path = self.directory.join("mapped");
        let words = Words::map(&path)?;
        let place = self.random.usize(0..words.len() / 2);
        let value = self.random.u64(..);
        // Relaxed, twice: nobody else uses this file.
        words.get(place).store(value, Relaxed);
        words.write_back()?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut word = [0; WORD];
        file.read_exact_at(&mut word, (place * WORD) as u64)?;
        ensure!(word == value.to_ne_bytes(), "what was stored is not what is read");
        let place = place + words.len() / 2;
        file.write_all_at(&(!value).to_ne_bytes(), (place * WORD) as u64)?;
        let loaded = words.get(place).load(Relaxed);
        ensure!(loaded == !value, "what was written is not what is loaded");
        Ok(())
    }
}

/// Up to so many random bytes, one at least.
fn bytes(random: &mut Rng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; random.usize(1..=most)];
    random.fill(&mut bytes);
    bytes
}

/// Attributes and contents; then the mode is changed, and seen.
fn check_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.display();
    ensure!(fs::metadata(path)?.len() == bytes.len() as u64, "{name} has another size");
    ensure!(fs::read(path)? == bytes, "{name} has other contents");
    fs::set_permissions(path, Permissions::from_mode(0o640))?;
    let mode = fs::metadata(path)?.mode() & 0o777;
    ensure!(mode == 0o640, "{name} has mode {mode:o} after chmod 640");
    Ok(())
}
