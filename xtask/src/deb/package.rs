//! A Debian package under construction: a tree of files, and what dpkg is told of it.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Who answers for the packages. There is no list to write to yet.
const MAINTAINER: &str = "The Samepage developers <samepage@localhost>";

/// What dpkg is told.
pub(super) struct Control {
    pub(super) name: &'static str,
    pub(super) architecture: &'static str,
    pub(super) section: &'static str,
    pub(super) depends: String,
    pub(super) recommends: &'static str,
    pub(super) summary: &'static str,
    /// Each line begins with one space, as Debian has it.
    pub(super) description: &'static str,
}

/// A package whose files lie in a directory of their own.
pub(super) struct Package {
    control: Control,
    root: PathBuf,
}

impl Package {
    /// An empty package, in `output`.
    pub(super) fn new(output: &Path, control: Control) -> Result<Self> {
        let root = output.join(control.name);
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir_all(root.join("DEBIAN"))?;
        Ok(Self { control, root })
    }

    /// Puts a copy of `file` to the absolute path `to`.
    pub(super) fn copy(&self, file: &Path, to: &str, mode: u32) -> Result<()> {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.write(&bytes, to, mode)
    }

    /// Puts a file to the absolute path `to`.
    pub(super) fn write(&self, bytes: &[u8], to: &str, mode: u32) -> Result<()> {
        let path = self.root.join(to.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    /// Puts all files of a directory, and of those in it, below the absolute path `to`, but for what is for tests only.
    pub(super) fn copy_tree(&self, from: &Path, to: &str) -> Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("a name that is no text")?;
            if name == "faults" {
                continue;
            }
            let to = format!("{to}/{name}");
            if entry.file_type()?.is_dir() {
                self.copy_tree(&entry.path(), &to)?;
            } else {
                self.copy(&entry.path(), &to, 0o644)?;
            }
        }
        Ok(())
    }

    /// A script that dpkg runs: `postinst` or `prerm`.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<()> {
        self.write(text.as_bytes(), &format!("/DEBIAN/{name}"), 0o755)
    }

    /// Makes the package's file in `output`.
    pub(super) fn build(self, output: &Path) -> Result<PathBuf> {
        self.write(self.control_file()?.as_bytes(), "/DEBIAN/control", 0o644)?;
        let Control { name, architecture, .. } = self.control;
        let file = output.join(format!("{name}_{}_{architecture}.deb", version()));
        let mut command = Command::new("dpkg-deb");
        command.args(["--build", "--root-owner-group", "-Zxz"]).arg(&self.root).arg(&file);
        let result = command.output().context("cannot run dpkg-deb")?;
        let said = String::from_utf8_lossy(&result.stderr);
        ensure!(result.status.success(), "dpkg-deb: {}", said.trim_end());
        fs::remove_dir_all(&self.root)?;
        Ok(file)
    }

    fn control_file(&self) -> Result<String> {
        let Control { name, architecture, section, depends, recommends, summary, description } =
            &self.control;
        let mut text = format!(
            "Package: {name}\nVersion: {}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n\
             Installed-Size: {}\nSection: {section}\nPriority: optional\n",
            version(),
            size(&self.root)?.div_ceil(1024)
        );
        for (field, value) in [("Depends", depends.as_str()), ("Recommends", recommends)] {
            if !value.is_empty() {
                writeln!(text, "{field}: {value}")?;
            }
        }
        writeln!(text, "Description: {summary}\n{description}")?;
        Ok(text)
    }
}

/// The workspace's version: the packages are one release.
pub(super) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn size(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
