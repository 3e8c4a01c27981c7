//! The rig: everything between a test's five lines and real VMs on one shared directory.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`lab`] | a shared directory, its daemons and its guests, ready to use |
//! | [`vm`] | QEMU: its command line, its life, whether KVM is any good here |
//! | [`guest`] | what runs inside: initramfs, modules, the conversation with the agent |
//! | [`daemon`] | vhost-user-fs daemons: ours, virtiofsd, any other |
//! | [`artifact`] | what is fetched and built: QEMU, kernels, tools |
//! | [`process`], [`cleanup`] | children that never outlive us, directories that never stay |
//!
//! Start reading at [`lab::Lab`].

pub mod artifact;
pub mod cargo;
pub mod cleanup;
pub mod daemon;
pub mod guest;
pub mod lab;
pub mod paths;
pub mod process;
pub mod vm;

pub use guest::{Command, Output, Running};
pub use lab::{Guest, Lab};
