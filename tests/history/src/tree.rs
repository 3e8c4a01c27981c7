//! Everything that can be seen below a directory, as text: what two machines see of it is the same
//! when the texts are.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use crate::op::{NAMES, name};

/// All names, missing ones of [`name`] too, with attributes, contents, extended attribute and target.
/// Not what nobody promises: atime, and blocks. Errors are part of the text.
#[must_use]
pub fn describe(root: &Path) -> String {
    let mut text = String::new();
    let outcome = describe_entry(root, "", &mut text);
    note_error("", outcome, &mut text);
    text
}

fn describe_entry(root: &Path, below: &str, text: &mut String) -> io::Result<()> {
    let path = root.join(below);
    // Not `std`, which asks for the time of birth, too.
    let stat = rustix::fs::lstat(&path)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let _ = write!(text, "/{below} {}", attributes(&stat));
    if kind.is_file() {
        let _ = write!(text, " {:?} {:?}", fs::read(&path)?, xattr(&path));
    } else if kind.is_symlink() {
        let _ = write!(text, " -> {}", fs::read_link(&path)?.display());
    }
    text.push('\n');
    if kind.is_dir() {
        for name in names(&path)? {
            let below = if below.is_empty() { name } else { format!("{below}/{name}") };
            let outcome = describe_entry(root, &below, text);
            note_error(&below, outcome, text);
        }
    }
    Ok(())
}

/// What is listed, and what might be there.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let listed = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<_> = listed.into_iter().chain((0..NAMES).map(name)).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn note_error(below: &str, outcome: io::Result<()>, text: &mut String) {
    if let Err(error) = outcome {
        let _ = writeln!(text, "/{below}: {error}");
    }
}

fn attributes(stat: &Stat) -> String {
    let times = [(stat.st_mtime, stat.st_mtime_nsec), (stat.st_ctime, stat.st_ctime_nsec)];
    format!(
        "inode {} mode {:o} links {} owner {}:{} size {} times {times:?}",
        stat.st_ino, stat.st_mode, stat.st_nlink, stat.st_uid, stat.st_gid, stat.st_size,
    )
}

fn xattr(path: &Path) -> Option<u64> {
    let mut bytes = [0; 8];
    rustix::fs::lgetxattr(path, crate::execute::XATTR, &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_shows() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("dir")).unwrap();
        fs::write(path("dir/a"), "text").unwrap();
        let mut last = describe(root.path());
        assert_eq!(last, describe(root.path()));
        assert!(last.contains("/dir/b: "), "missing names are looked at: {last}");
        let mut differs = |what: &str, change: &dyn Fn() -> io::Result<()>| {
            change().unwrap();
            let now = describe(root.path());
            assert_ne!(last, now, "{what}");
            last = now;
        };
        differs("contents", &|| fs::write(path("dir/a"), "tent"));
        differs("a link", &|| fs::hard_link(path("dir/a"), path("b")));
        differs("a name", &|| fs::rename(path("dir"), path("other")));
        differs("a symlink", &|| std::os::unix::fs::symlink("x", path("c")));
        differs("a directory", &|| fs::remove_file(path("other/a")));
    }
}
