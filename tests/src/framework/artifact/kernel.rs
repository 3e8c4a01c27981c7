//! Guest kernels: Debian's cloud images, by series.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt::{Apt, Release};
use super::store;

/// What a guest boots when nothing else is asked for.
pub const DEFAULT: &str = "6.12";

/// The series that can be fetched, and the release whose archive holds them.
pub const SERIES: &[(&str, Release)] =
    &[("6.1", Release::Bookworm), ("6.12", Release::Trixie), ("7.2", Release::Trixie)];

const FLAVOUR: &str = "-cloud-amd64";

/// A kernel that can be booted.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The bootable image.
    pub image: PathBuf,
    /// The directory of its modules; `None` when everything needed is built in.
    pub modules: Option<PathBuf>,
}

impl Kernel {
    /// The kernel of this series, fetched if need be; or the image at this path, which must have
    /// virtio-pci, virtio-console and virtio-fs built in.
    ///
    /// # Errors
    /// There is no such series or file, or it cannot be fetched.
    pub fn obtain(name: &str) -> Result<Self> {
        if name.contains('/') {
            let image = PathBuf::from(name);
            let _ = fs::File::open(&image).with_context(|| format!("cannot open {name}"))?;
            return Ok(Self { image, modules: None });
        }
        let Some((series, release)) = SERIES.iter().find(|(series, _)| *series == name) else {
            let known: Vec<_> = SERIES.iter().map(|(series, _)| *series).collect();
            bail!("kernel {name}: choose one of {}, or give a path", known.join(", "));
        };
        let tree = store::ensure(&format!("kernel-{series}"), |directory| {
            let apt = Apt::open(*release)?;
            let packages = packages_of(&apt, series)?;
            let names: Vec<&str> = packages.iter().map(String::as_str).collect();
            apt.unpack(&format!("kernel {series}"), &names, directory)
        })?;
        Self::unpacked(&tree)
    }

    fn unpacked(tree: &Path) -> Result<Self> {
        let modules = ["usr/lib/modules", "lib/modules"]
            .iter()
            .find_map(|parent| only_entry(&tree.join(parent)))
            .context("the kernel package holds no modules")?;
        let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let places = [modules.join("vmlinuz"), tree.join(format!("boot/vmlinuz-{release}"))];
        let image = places.into_iter().find(|place| place.is_file());
        Ok(Self {
            image: image.context("the kernel package holds no image")?,
            modules: Some(modules),
        })
    }
}

fn only_entry(directory: &Path) -> Option<PathBuf> {
    Some(directory.read_dir().ok()?.next()?.ok()?.path())
}

/// The newest image package of the series. From 7.2 on it is a small one, and the kernel and its
/// modules are among its dependencies.
fn packages_of(apt: &Apt, series: &str) -> Result<Vec<String>> {
    let prefix = format!("linux-image-{series}.");
    let names = apt.names(&prefix)?;
    let image = newest(&names, &prefix)
        .with_context(|| format!("the mirror has no {prefix}*{FLAVOUR} any more"))?;
    let mut packages = apt.dependencies(image)?;
    packages.retain(|name| name.starts_with("linux-binary-") || name.starts_with("linux-modules-"));
    packages.push(image.to_owned());
    Ok(packages)
}

fn newest<'a>(names: &'a [String], prefix: &str) -> Option<&'a str> {
    names
        .iter()
        .map(String::as_str)
        .filter(|name| name.ends_with(FLAVOUR))
        .max_by_key(|name| version_key(&name[prefix.len()..name.len() - FLAVOUR.len()]))
}

/// The numbers in `117+deb13` or `0-50`, to be compared one after the other.
fn version_key(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_image_is_chosen_by_number() {
        let names = [
            "linux-image-6.12.99+deb13-cloud-amd64",
            "linux-image-6.12.117+deb13-cloud-amd64",
            "linux-image-6.12.118+deb13-cloud-amd64-dbg",
            "linux-image-6.12.118+deb13-cloud-amd64-unsigned",
            "linux-image-6.12.120+deb13-rt-amd64",
        ]
        .map(str::to_owned);
        assert_eq!(newest(&names, "linux-image-6.12."), Some(names[1].as_str()));
        let old = ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-50-cloud-amd64"];
        let old = old.map(str::to_owned);
        assert_eq!(newest(&old, "linux-image-6.1."), Some(old[1].as_str()));
        assert_eq!(newest(&[], "linux-image-6.1."), None);
    }
}
