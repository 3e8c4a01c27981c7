//! What several machines do in the same place.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::Errno;

use super::{Report, Worker};

/// Counters, each with a lock.
pub const COUNTERS: usize = 4;
/// Directories whose names everybody changes.
pub const DIRECTORIES: usize = 3;
/// Files of the directory that everybody looks at.
pub const MANY: usize = 200;

/// Names in each directory.
const NAMES: usize = 8;
/// Changes of names in a round.
const CHANGES: usize = 8;
/// The longest letter, in bytes.
const LETTER: usize = 16 << 10;
/// How the name of a letter ends that is still being written.
const NEW: &str = ".new";
/// What begins a letter: its number and its length.
const HEADER: usize = 16;

pub(super) fn prepare(root: &Path) -> Result<()> {
    for directory in ["counters", "letters", "names", "many"] {
        fs::create_dir(root.join(directory))?;
    }
    for number in 0..COUNTERS {
        fs::write(root.join(format!("counters/{number}")), 0_u64.to_le_bytes())?;
        fs::write(root.join(format!("counters/{number}.lock")), "")?;
    }
    for number in 0..DIRECTORIES {
        fs::create_dir(root.join(format!("names/{number}")))?;
    }
    for number in 0..MANY {
        fs::write(root.join(format!("many/{number}")), vec![0; number])?;
    }
    Ok(())
}

/// The common places, as one machine knows them.
pub(super) struct Shared {
    root: PathBuf,
    name: String,
    coherent: bool,
    random: Rng,
    /// Locks and counters; the latter are kept open by who sees nothing stale.
    counters: Vec<(File, Option<File>)>,
    sent: u64,
    /// The last letter's number, by sender.
    received: HashMap<String, u64>,
}

impl Shared {
    pub(super) fn new(worker: &Worker, random: Rng) -> Result<Self> {
        let root = worker.root.clone();
        let counter = |number: usize| -> Result<(File, Option<File>)> {
            let lock = open(&root.join(format!("counters/{number}.lock")))?;
            let file = open(&root.join(format!("counters/{number}")))?;
            Ok((lock, worker.coherent.then_some(file)))
        };
        Ok(Self {
            counters: (0..COUNTERS).map(counter).collect::<Result<_>>()?,
            name: worker.name.clone(),
            coherent: worker.coherent,
            random,
            sent: 0,
            received: HashMap::new(),
            root,
        })
    }

    pub(super) fn round(&mut self, report: &mut Report) -> Result<()> {
        self.count(report)?;
        self.send()?;
        self.receive(report)?;
        for _ in 0..CHANGES {
            report.renamed += u64::from(self.change_names()?);
        }
        self.look()
    }

    /// Counts one of the counters up, under its lock: half of them have POSIX locks, the others flock ones.
    fn count(&mut self, report: &mut Report) -> Result<()> {
        let number = self.random.usize(0..COUNTERS);
        let (lock, file) = &self.counters[number];
        let set = |operation| match number % 2 {
            0 => fcntl_lock(lock, operation),
            _ => flock(lock, operation),
        };
        set(FlockOperation::LockExclusive).context("cannot lock")?;
        let opened;
        let file = if let Some(file) = file {
            file
        } else {
            opened = open(&self.root.join(format!("counters/{number}")))?;
            &opened
        };
        let mut word = [0; 8];
        file.read_exact_at(&mut word, 0)?;
        let next = u64::from_le_bytes(word) + 1;
        file.write_all_at(&next.to_le_bytes(), 0)?;
        set(FlockOperation::Unlock).context("cannot unlock")?;
        report.counted[number] += 1;
        Ok(())
    }

    /// Replaces one's letter by a new one.
    fn send(&mut self) -> Result<()> {
        self.sent += 1;
        let letter = letter(self.sent, self.random.usize(0..LETTER));
        let (new, place) =
            (format!("letters/{}{NEW}", self.name), format!("letters/{}", self.name));
        fs::write(self.root.join(&new), letter)?;
        fs::rename(self.root.join(new), self.root.join(place))?;
        Ok(())
    }

    /// Reads everybody's letter: it is whole, and none that was sent before the last one.
    fn receive(&mut self, report: &mut Report) -> Result<()> {
        for entry in fs::read_dir(self.root.join("letters"))? {
            let entry = entry?;
            let sender = entry.file_name().to_string_lossy().into_owned();
            if sender.ends_with(NEW) {
                continue;
            }
            let bytes = match fs::read(entry.path()) {
                Ok(bytes) => bytes,
                Err(error) if self.may_be_stale(&error) => continue,
                Err(error) => return Err(error).context(format!("the letter of {sender}")),
            };
            let word = |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
            let number = u64::from_le_bytes(word(0).context("a letter without a number")?);
            let length = u64::from_le_bytes(word(8).context("a letter without a length")?);
            let whole = bytes == letter(number, length as usize);
            ensure!(whole, "letter {number} of {sender} is not what was sent");
            let last = self.received.insert(sender.clone(), number).unwrap_or(0);
            ensure!(number >= last, "letter {number} of {sender} came after {last}");
            report.letters += 1;
        }
        Ok(())
    }

    /// Whether a change was made.
    fn change_names(&mut self) -> Result<bool> {
        let (one, other) = (self.random_name(), self.random_name());
        let done = match self.random.u32(0..8) {
            0 | 1 => fs::write(&one, &self.name),
            2 => fs::remove_file(&one),
            3 | 4 => fs::rename(&one, &other),
            5 => fs::hard_link(&one, &other),
            6 => symlink("nowhere", &one),
            _ => fs::create_dir(&one).and_then(|()| fs::remove_dir(&one)),
        };
        match done {
            Ok(()) => Ok(true),
            Err(error) if expected(&error) || self.may_be_stale(&error) => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("{} and {}", one.display(), other.display()))
            }
        }
    }

    fn random_name(&mut self) -> PathBuf {
        let (directory, name) = (self.random.usize(0..DIRECTORIES), self.random.usize(0..NAMES));
        self.root.join(format!("names/{directory}/{name}"))
    }

    /// A directory that nobody changes.
    fn look(&self) -> Result<()> {
        let mut seen = 0;
        for entry in fs::read_dir(self.root.join("many"))? {
            let entry = entry?;
            let size = entry.metadata()?.len();
            let is_so = entry.file_name().to_str() == Some(size.to_string().as_str());
            ensure!(is_so, "{} has {size} bytes", entry.path().display());
            seen += 1;
        }
        ensure!(seen == MANY, "{seen} of {MANY} files");
        Ok(())
    }

    /// Linux's own driver may say so of a name that others replace.
    fn may_be_stale(&self, error: &io::Error) -> bool {
        !self.coherent && Errno::from_io_error(error) == Some(Errno::STALE)
    }
}

fn open(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.with_context(|| format!("cannot open {}", path.display()))
}

/// A number, a length, and as many bytes that both determine.
fn letter(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.extend(number.to_le_bytes());
    bytes.extend((length as u64).to_le_bytes());
    let mut random = Rng::with_seed(number);
    bytes.extend((0..length).map(|_| random.u8(..)));
    bytes
}

/// What may come of changing names that others change, too.
fn expected(error: &io::Error) -> bool {
    let expected =
        [Errno::NOENT, Errno::EXIST, Errno::ISDIR, Errno::NOTDIR, Errno::NOTEMPTY, Errno::PERM];
    Errno::from_io_error(error).is_some_and(|errno| expected.contains(&errno))
}
