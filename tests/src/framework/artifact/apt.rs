//! A private apt root: the machine's mirror, keys, proxies and certificates, but an index, a cache
//! and an (empty) list of installed packages of our own, under `target/rig`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::progress::Step;
use super::sources;
use super::store::{Lock, Record};
use crate::framework::paths;

/// A Debian release, with its backports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl Release {
    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    fn suites(self) -> &'static str {
        match self {
            // What we take from there is old and stays as it is.
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie trixie-backports",
        }
    }
}

/// What an index lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Binaries,
    Sources,
}

/// The private root of one release. Other processes wait until it is dropped.
#[derive(Debug)]
pub struct Apt {
    release: Release,
    kind: Kind,
    root: PathBuf,
    _lock: Lock,
}

impl Apt {
    /// Prepare the root; fetch the package index unless there is one.
    ///
    /// # Errors
    /// This is no Debian, or the mirror cannot be reached.
    pub fn open(release: Release) -> Result<Self> {
        Self::open_kind(release, Kind::Binaries)
    }

    /// The same for source packages, which have an index of their own.
    ///
    /// # Errors
    /// As [`Apt::open`].
    pub fn open_sources(release: Release) -> Result<Self> {
        Self::open_kind(release, Kind::Sources)
    }

    fn open_kind(release: Release, kind: Kind) -> Result<Self> {
        let store = paths::rig();
        let name = match kind {
            Kind::Binaries => release.name().to_owned(),
            Kind::Sources => format!("{}-sources", release.name()),
        };
        let root = store.join("apt").join(&name);
        let lock = Lock::take(&store, &format!("apt-{name}"))?;
        let apt = Self { release, kind, root, _lock: lock };
        apt.write_configuration()?;
        if !apt.root.join("lists/complete").exists() {
            apt.update()?;
        }
        Ok(apt)
    }

    /// Fetch the package index anew.
    ///
    /// # Errors
    /// The mirror cannot be reached, or its signature is not one of the machine's keys'.
    pub fn update(&self) -> Result<()> {
        let step = Step::begin(format!("fetching the package index of {}", self.release.name()));
        let output = self.command("apt-get").arg("update").output()?;
        let problems = String::from_utf8_lossy(&output.stderr).into_owned();
        // A mirror that could not be reached is only a warning to apt-get update.
        if !output.status.success() || problems.lines().any(|line| line.starts_with("W: Failed")) {
            bail!(
                "cannot fetch the package index of {} from this machine's mirror:\n{}\n\
                 Once it was fetched the rig works offline.",
                self.release.name(),
                problems.trim_end()
            );
        }
        fs::write(self.root.join("lists/complete"), "")?;
        step.done("");
        Ok(())
    }

    /// All packages whose name begins with `prefix`.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = self.query(&["pkgnames", prefix])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The names of the packages that the newest version of `package` depends on.
    ///
    /// # Errors
    /// There is no such package.
    pub fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let text = self.query(&["show", "--no-all-versions", package])?;
        let depends = text.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or("");
        let names = depends.split([',', '|']).filter_map(|item| item.split_whitespace().next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Fetch these packages, and only these, and unpack them into `directory`.
    ///
    /// # Errors
    /// One of them cannot be fetched or unpacked.
    pub fn unpack(&self, what: &str, packages: &[&str], directory: &Path) -> Result<Record> {
        let archives = tempfile::tempdir_in(&self.root)?;
        self.retry_with_fresh_index(|| {
            let mut command = self.command("apt-get");
            command.arg("download").args(packages).current_dir(archives.path());
            watch(what, &mut command)
        })?;
        self.unpack_archives(archives.path(), directory)
    }

    /// Fetch these packages with all that they need, and unpack them into `directory`. Backports
    /// are preferred when asked for.
    ///
    /// # Errors
    /// One of them cannot be fetched or unpacked.
    pub fn unpack_with_dependencies(
        &self,
        what: &str,
        packages: &[&str],
        backports: bool,
        directory: &Path,
    ) -> Result<Record> {
        let archives = tempfile::tempdir_in(&self.root)?;
        fs::create_dir(archives.path().join("partial"))?;
        self.retry_with_fresh_index(|| {
            let mut command = self.command("apt-get");
            command.arg("-o").arg(format!("Dir::Cache::archives={}", archives.path().display()));
            command.args(["--yes", "--no-install-recommends", "--download-only"]);
            if backports {
                command.arg(format!("--target-release={}-backports", self.release.name()));
            }
            watch(what, command.arg("install").args(packages))
        })?;
        self.unpack_archives(archives.path(), directory)
    }

    /// Fetch the files of a source package, as they are, into `directory`.
    ///
    /// # Errors
    /// They cannot be fetched.
    pub fn source(&self, package: &str, directory: &Path) -> Result<Record> {
        self.retry_with_fresh_index(|| {
            let mut command = self.command("apt-get");
            command.args(["source", "--download-only", "--only-source", package]);
            watch(&format!("the source of {package}"), command.current_dir(directory))
        })?;
        let version = run(self.command("apt-cache").args(["showsrc", "--only-source", package]))?;
        let version = version.lines().find_map(|line| line.strip_prefix("Version: "));
        Ok(Record::of(self.release.suites(), [(package, version.unwrap_or("unknown"))]))
    }

    /// Try; the index may be older than the mirror, so fetch that and try once more.
    fn retry_with_fresh_index(&self, fetch: impl Fn() -> Result<()>) -> Result<()> {
        fetch().or_else(|_| {
            self.update()?;
            fetch()
        })
    }

    fn unpack_archives(&self, archives: &Path, directory: &Path) -> Result<Record> {
        let mut packages = Vec::new();
        for entry in fs::read_dir(archives)? {
            let archive = entry?.path();
            if archive.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(directory))?;
                packages.push(name_and_version(&archive)?);
            }
        }
        for unread in ["usr/share/doc", "usr/share/man", "usr/share/locale"] {
            let _ = fs::remove_dir_all(directory.join(unread));
        }
        packages.sort();
        Ok(Record::of(self.release.suites(), packages))
    }

    fn query(&self, arguments: &[&str]) -> Result<String> {
        run(self.command("apt-cache").args(arguments))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.root.join("apt.conf"));
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }

    /// The machine's own configuration is read first; this file, named with `-c`, comes after it.
    fn write_configuration(&self) -> Result<()> {
        let source = sources::debian()?;
        for directory in ["lists/partial", "cache", "etc"] {
            fs::create_dir_all(self.root.join(directory))?;
        }
        let root = self.root.to_str().context("the path of target/ is not UTF-8")?;
        ensure!(!root.contains('"'), "apt cannot work in a path with a quotation mark: {root}");
        let types = match self.kind {
            Kind::Binaries => "deb",
            Kind::Sources => "deb-src",
        };
        let sources = self.root.join("etc/debian.sources");
        fs::write(sources, sources::stanza(&source, types, self.release.suites()))?;
        fs::write(self.root.join("status"), "")?;
        fs::write(self.root.join("apt.conf"), CONFIGURATION.replace("ROOT", root))?;
        Ok(())
    }
}

/// No hook of the machine's runs, no other index is fetched, and a root user's apt does not change
/// to a user who may not write here.
const CONFIGURATION: &str = r#"
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-large;
#clear APT::Default-Release;
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "";
Debug::NoLocking "true";
Dir::Cache "ROOT/cache";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "ROOT/etc";
Dir::State "ROOT";
Dir::State::lists "ROOT/lists";
Dir::State::status "ROOT/status";
"#;

/// Run a fetching command, and show how far it is.
fn watch(what: &str, command: &mut Command) -> Result<()> {
    let step = Step::begin(format!("fetching {what}"));
    command.args(["-o", "APT::Status-Fd=1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start apt-get")?;
    let mut size = String::new();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line?;
        if let Some(status) = line.strip_prefix("dlstatus:") {
            let percent = status.split(':').nth(1).and_then(|text| text.parse::<f64>().ok());
            step.percent(percent.unwrap_or(0.0) as u64);
        } else if let Some(fetched) = line.strip_prefix("Fetched ") {
            fetched.split(" in ").next().unwrap_or("").clone_into(&mut size);
        }
    }
    let output = child.wait_with_output()?;
    let problems = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot fetch {what}:\n{}", problems.trim_end());
    step.done(&size);
    Ok(())
}

fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    let problems = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed:\n{}", problems.trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

/// From the file's name, `name_version_architecture.deb`, in which a colon is written `%3a`.
fn name_and_version(archive: &Path) -> Result<(String, String)> {
    let name = archive.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut parts = name.split('_');
    let (Some(package), Some(version)) = (parts.next(), parts.next()) else {
        bail!("{name} is not named like a package");
    };
    Ok((package.to_owned(), version.replace("%3a", ":")))
}
