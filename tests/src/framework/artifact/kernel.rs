//! Guest kernels: Debian's images, by series and flavour.

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

/// Debian's image for virtual machines: small, and without 9p.
const CLOUD: &str = "-cloud-amd64";
/// Debian's image for any machine.
const GENERAL: &str = "-amd64";

/// Which image a kernel's name means: `6.12` is the series' cloud image, `6.12-amd64` the general one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) series: &'static str,
    pub(super) release: Release,
    flavour: &'static str,
}

impl Image {
    /// The image of this name.
    ///
    /// # Errors
    /// There is no such series.
    pub(super) fn named(name: &str) -> Result<Self> {
        let (wanted, flavour) = match name.strip_suffix(GENERAL) {
            Some(series) => (series, GENERAL),
            None => (name, CLOUD),
        };
        let known = SERIES.iter().find(|(series, _)| *series == wanted);
        if let Some((series, release)) = known.copied() {
            return Ok(Self { series, release, flavour });
        }
        let known: Vec<_> = SERIES.iter().map(|(series, _)| *series).collect();
        let known = known.join(", ");
        bail!(
            "kernel {name}: choose one of {known}, or one of these with {GENERAL}, or give a path"
        )
    }
}

/// A kernel that can be booted.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The bootable image.
    pub image: PathBuf,
    /// The directory of its modules; `None` when everything needed is built in.
    pub modules: Option<PathBuf>,
}

impl Kernel {
    /// The kernel of this name (`6.12`, or `6.12-amd64` for more drivers), fetched if need be; or
    /// the image at this path, which must have virtio-pci, virtio-console and virtio-fs built in.
    ///
    /// # Errors
    /// There is no such series or file, or it cannot be fetched.
    pub fn obtain(name: &str) -> Result<Self> {
        if name.contains('/') {
            let image = PathBuf::from(name);
            let _ = fs::File::open(&image).with_context(|| format!("cannot open {name}"))?;
            return Ok(Self { image, modules: None });
        }
        let image = Image::named(name)?;
        let tree = store::ensure(&format!("kernel-{name}"), |directory| {
            let apt = Apt::open(image.release)?;
            let packages = packages_of(&apt, image)?;
            let names: Vec<&str> = packages.iter().map(String::as_str).collect();
            apt.unpack(&format!("kernel {name}"), &names, directory)
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

/// The newest package of the image. From 7.2 on it is a small one, and the kernel and its
/// modules are among its dependencies.
fn packages_of(apt: &Apt, image: Image) -> Result<Vec<String>> {
    let Image { series, flavour, .. } = image;
    let prefix = format!("linux-image-{series}.");
    let names = apt.names(&prefix)?;
    let image = newest(&names, &prefix, flavour)
        .with_context(|| format!("the mirror has no {prefix}*{flavour} any more"))?;
    let mut packages = apt.dependencies(image)?;
    packages.retain(|name| name.starts_with("linux-binary-") || name.starts_with("linux-modules-"));
    packages.push(image.to_owned());
    Ok(packages)
}

fn newest<'a>(names: &'a [String], prefix: &str, flavour: &str) -> Option<&'a str> {
    let version = |name: &'a str| name.strip_prefix(prefix)?.strip_suffix(flavour);
    // `117+deb13-cloud` is the version of no general image.
    let is_plain = |version: &str| {
        version
            .rsplit('-')
            .next()
            .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    };
    (names.iter())
        .filter_map(|name| Some((version(name).filter(|version| is_plain(version))?, name)))
        .max_by_key(|(version, _)| version_key(version))
        .map(|(_, name)| name.as_str())
}

/// The numbers in `117+deb13` or `0-50`, to be compared one after the other.
fn version_key(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_image_of_a_flavour_is_chosen_by_number() {
        let names = [
            "linux-image-6.12.99+deb13-cloud-amd64",
            "linux-image-6.12.117+deb13-cloud-amd64",
            "linux-image-6.12.118+deb13-cloud-amd64-dbg",
            "linux-image-6.12.118+deb13-cloud-amd64-unsigned",
            "linux-image-6.12.120+deb13-rt-amd64",
            "linux-image-6.12.116+deb13-amd64",
        ]
        .map(str::to_owned);
        assert_eq!(newest(&names, "linux-image-6.12.", CLOUD), Some(names[1].as_str()));
        assert_eq!(newest(&names, "linux-image-6.12.", GENERAL), Some(names[5].as_str()));
        let old = ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-50-cloud-amd64"];
        let old = old.map(str::to_owned);
        assert_eq!(newest(&old, "linux-image-6.1.", CLOUD), Some(old[1].as_str()));
        assert_eq!(newest(&old, "linux-image-6.1.", GENERAL), None);
    }

    #[test]
    fn a_name_is_a_series_and_perhaps_a_flavour() {
        let image = |name| Image::named(name).map(|image| (image.series, image.flavour)).ok();
        assert_eq!(image("6.12"), Some(("6.12", CLOUD)));
        assert_eq!(image("6.12-amd64"), Some(("6.12", GENERAL)));
        assert_eq!(image("2.4"), None);
    }
}
