//! Whoever changes files on the host: in the directories that guests look at, outside of the share, and
//! where both meet.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{AtFlags, linkat, renameat};
use samepage_history::execute::{self, Place};
use samepage_history::generate::{Generator, Mix, Role};
use samepage_history::lag::World;
use samepage_history::op::{Call, DIRECTORIES, NAMES, name};
use samepage_tests::framework::cleanup::Scratch;
use samepage_tests::framework::paths;

/// A share, and a directory outside of it on the same file system.
pub(super) struct Editor {
    scratch: Scratch,
    place: Place,
    /// The directories that guests look at, wherever they are.
    directories: Vec<File>,
    outside: File,
    /// In which of them each of them lies; none: in the share itself.
    parents: Vec<Option<usize>>,
    generator: Generator,
    random: fastrand::Rng,
    /// Whether the directory outside is mounted in the share.
    shown: bool,
    saves: u64,
    /// A file that is about to be saved once more.
    again: Option<(usize, String)>,
}

impl Editor {
    /// Mounts are this thread's and its children's own from now on, and end with them.
    pub(super) fn new(seed: u64) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS).context("mounts of one's own need root")?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        let scratch = Scratch::new_in(&paths::rig().join("shares"))?;
        share_mounts_below(scratch.path())?;
        let (share, outside) = (scratch.path().join("share"), scratch.path().join("outside"));
        for directory in [&share, &share.join("shown"), &outside] {
            fs::create_dir(directory)?;
            fs::set_permissions(directory, Permissions::from_mode(0o755))?;
        }
        execute::prepare(&share)?;
        let directories = (0..DIRECTORIES).map(|number| directory(&share.join(number.to_string())));
        Ok(Self {
            place: Place::open(&share, false)?,
            directories: directories.collect::<io::Result<_>>()?,
            outside: directory(&outside)?,
            parents: vec![None; DIRECTORIES.into()],
            generator: Generator::new(seed, 0, Role::Coherent, Mix::Everything),
            random: fastrand::Rng::with_seed(seed),
            shown: false,
            saves: 0,
            again: None,
            scratch,
        })
    }

    pub(super) fn share(&self) -> PathBuf {
        self.scratch.path().join("share")
    }

    pub(super) fn world(&self) -> World {
        World::observe(&self.place)
    }

    /// Makes one change, after as many attempts as it takes: a file that is to be removed may not be there.
    pub(super) fn change(&mut self) {
        while self.attempt().is_err() {}
    }

    /// Whether the next change must come at once: a file is being saved over and over.
    pub(super) fn hurries(&self) -> bool {
        self.again.is_some()
    }

    fn attempt(&mut self) -> io::Result<()> {
        if let Some(place) = self.again.take() {
            return self.save(place);
        }
        match self.random.u32(0..100) {
            0..60 => self.operate(),
            60..72 => {
                let place = self.random_place();
                self.save(place)
            }
            72..78 => self.move_out(),
            78..84 => self.move_in(),
            84..88 => self.link_out(),
            88..92 => self.write_outside(),
            92..98 => self.move_a_directory(),
            _ => self.show_or_hide(),
        }
    }

    /// What a guest might do as well.
    fn operate(&mut self) -> io::Result<()> {
        let mut operation = self.generator.operation();
        while operation.call.only_looks() {
            operation = self.generator.operation();
        }
        if operation.call == Call::Truncate {
            // What of a page lies beyond a file's new end is not cleared in one step with the size.
            operation.value = 0;
        }
        match self.place.execute(&operation).errno {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno.cast_signed())),
        }
    }

    /// As editors do: a new file takes the name. Mostly more than once.
    fn save(&mut self, (to, name): (usize, String)) -> io::Result<()> {
        self.saves += 1;
        let new = self.scratch.path().join("outside/new");
        fs::write(&new, (self.saves << 40).to_le_bytes())?;
        renameat(&self.outside, "new", &self.directories[to], &name)?;
        self.again = (self.random.u32(0..3) > 0).then_some((to, name));
        Ok(())
    }

    fn move_out(&mut self) -> io::Result<()> {
        let ((from, name), to) = (self.random_place(), self.random_name());
        Ok(renameat(&self.directories[from], name, &self.outside, to)?)
    }

    fn move_in(&mut self) -> io::Result<()> {
        let (from, (to, name)) = (self.random_name(), self.random_place());
        Ok(renameat(&self.outside, from, &self.directories[to], name)?)
    }

    fn link_out(&mut self) -> io::Result<()> {
        let ((from, name), to) = (self.random_place(), self.random_name());
        Ok(linkat(&self.directories[from], name, &self.outside, to, AtFlags::empty())?)
    }

    /// A file in the share changes by its name elsewhere. Not one without a name in the share: nobody notes what
    /// becomes of it, though a guest may be about to look at it.
    fn write_outside(&mut self) -> io::Result<()> {
        self.saves += 1;
        let path = self.scratch.path().join("outside").join(self.random_name());
        let file = OpenOptions::new().write(true).custom_flags(libc_nofollow()).open(path)?;
        let number = file.metadata()?.ino();
        let names = (0..DIRECTORIES).flat_map(|d| (0..NAMES).map(move |n| (d, n)));
        let inside = names.into_iter().any(|(d, n)| {
            let at = rustix::fs::statat(
                &self.directories[usize::from(d)],
                name(n),
                AtFlags::SYMLINK_NOFOLLOW,
            );
            at.is_ok_and(|stat| stat.st_ino == number)
        });
        if !inside {
            return Err(io::ErrorKind::NotFound.into());
        }
        file.write_all_at(&(self.saves << 40).to_le_bytes(), 0)
    }

    /// With all that guests have cached below it.
    fn move_a_directory(&mut self) -> io::Result<()> {
        let which = self.random.usize(0..self.directories.len());
        let parent = self.random.usize(0..=self.directories.len());
        let parent = (parent < self.directories.len()).then_some(parent);
        let share = directory(&self.share())?;
        let place = |at: Option<usize>| at.map_or(share.as_fd(), |at| self.directories[at].as_fd());
        let name = which.to_string();
        renameat(place(self.parents[which]), &name, place(parent), &name)?;
        self.parents[which] = parent;
        Ok(())
    }

    /// Mounts the directory outside in the share, or takes it away.
    fn show_or_hide(&mut self) -> io::Result<()> {
        let (outside, at) = (self.scratch.path().join("outside"), self.share().join("shown"));
        if self.shown {
            umount2(&at, MntFlags::MNT_DETACH)?;
        } else {
            mount(Some(&outside), &at, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        }
        self.shown = !self.shown;
        Ok(())
    }

    /// A directory, and a name in it.
    fn random_place(&mut self) -> (usize, String) {
        (self.random.usize(0..self.directories.len()), self.random_name())
    }

    fn random_name(&mut self) -> String {
        name(self.random.u8(0..NAMES))
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if self.shown {
            let _ = self.show_or_hide();
        }
        // Or its directory could not be removed.
        let _ = umount2(self.scratch.path(), MntFlags::MNT_DETACH);
    }
}

/// What is mounted in there is mounted in the daemons' sandboxes, too, as on a host whose mounts are shared.
fn share_mounts_below(path: &Path) -> Result<()> {
    mount(Some(path), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(mount(None::<&str>, path, None::<&str>, MsFlags::MS_SHARED, None::<&str>)?)
}

fn directory(path: &Path) -> io::Result<File> {
    File::open(path)
}

fn libc_nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}
