//! Conformance: every operation, at the level of [`fuse::FileSystem`], on a disk file system and on tmpfs, with inodes
//! kept by descriptor and by file handle. Run as root; what needs root is skipped otherwise, with a line that says so.

mod access;
mod attributes;
mod bits;
mod creation;
mod data;
mod descriptors;
mod directories;
mod escape;
mod extended;
mod flags;
mod inodes;
mod ioctls;
mod lock_model;
mod locks;
mod lookups;
mod mappings;
mod migrating;
mod million;
mod names;
mod observers;
mod opening;
mod readonly;
mod share;
mod start;
mod submounts;
mod translated;
mod unlinked;
mod wire;

/// Runs each function, which takes a `&Share`, on every kind of share.
macro_rules! on_every_share {
    ($($case:ident),* $(,)?) => {$(
        mod $case {
            use crate::passthrough::InodeFileHandles::{Never, Prefer};
            use crate::passthrough::tests::share::{Place, Share};

            #[test]
            fn disk_by_descriptor() {
                Share::run(Place::Disk, Never, super::$case);
            }

            #[test]
            fn disk_by_handle() {
                Share::run(Place::Disk, Prefer, super::$case);
            }

            #[test]
            fn tmpfs_by_descriptor() {
                Share::run(Place::Tmpfs, Never, super::$case);
            }

            #[test]
            fn tmpfs_by_handle() {
                Share::run(Place::Tmpfs, Prefer, super::$case);
            }
        }
    )*};
}

use on_every_share;
