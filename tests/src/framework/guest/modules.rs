//! Kernel modules that a guest loads at its start, with what they depend on, in order.
//!
//! The packages come without `modules.dep` (it is made at installation), so the dependencies are
//! read from the modules themselves: each names them in its `.modinfo` section.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What a guest needs or may be asked for, if its kernel has it as a module.
pub const WANTED: &[&str] =
    &["virtio_pci", "virtio_console", "fuse", "virtiofs", "overlay", "9pnet_virtio", "9p"];

/// A module's name, with underscores, and its uncompressed file.
pub type Module = (String, Vec<u8>);

/// The wanted modules of the tree and what they need, each after what it depends on. A name that
/// the tree does not have is built in, or (9p in cloud images) not to be had.
///
/// # Errors
/// A module cannot be read or unpacked.
pub fn in_order(tree: &Path, wanted: &[&str], busybox: &Path) -> Result<Vec<Module>> {
    let mut found = BTreeMap::new();
    index(&tree.join("kernel"), &mut found)?;
    let mut loaded = Vec::new();
    for name in wanted {
        load(name, &found, busybox, &mut loaded)?;
    }
    Ok(loaded)
}

/// Every module below `directory`, by name.
fn index(directory: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("no {}", directory.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            index(&entry.path(), found)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            found.insert(name.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

fn load(
    name: &str,
    found: &BTreeMap<String, PathBuf>,
    busybox: &Path,
    loaded: &mut Vec<Module>,
) -> Result<()> {
    let name = name.replace('-', "_");
    let Some(path) = found.get(&name) else { return Ok(()) };
    if loaded.iter().any(|(other, _)| *other == name) {
        return Ok(());
    }
    let bytes = read(path, busybox)?;
    for dependency in dependencies(&bytes) {
        load(&dependency, found, busybox, loaded)?;
    }
    loaded.push((name, bytes));
    Ok(())
}

fn read(path: &Path, busybox: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "ko") {
        return fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    }
    let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let output = Command::new(busybox).arg("xzcat").stdin(file).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run {}", busybox.display()))?;
    ensure!(output.status.success(), "cannot unpack {}", path.display());
    Ok(output.stdout)
}

/// The names after `depends=` in a module's information, which is a list of strings that end with
/// a zero byte.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first_and_once() {
        let tree = tempfile::tempdir().unwrap();
        let directory = tree.path().join("kernel/fs/x");
        fs::create_dir_all(&directory).unwrap();
        for (name, depends) in [("virtiofs", "fuse,virtio-ring"), ("fuse", ""), ("virtio_ring", "")]
        {
            let text = format!("ELF\0license=GPL\0depends={depends}\0name={name}\0");
            fs::write(directory.join(format!("{name}.ko")), text).unwrap();
        }
        let wanted = ["fuse", "built_in", "virtiofs"];
        let modules = in_order(tree.path(), &wanted, Path::new("/nonexistent")).unwrap();
        let names: Vec<_> = modules.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["fuse", "virtio_ring", "virtiofs"]);
    }
}
