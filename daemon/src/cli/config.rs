//! What the options mean together.

use std::path::PathBuf;

use clap::ValueEnum;
use coherence::watch::Mode;

use super::args::Args;
use super::usage::UsageError;
use crate::coherent::table::Choice;
use crate::dax::{Policy, WindowSize};
use crate::migration;
use crate::passthrough::{Config as Share, InodeFileHandles, Negotiation};
use crate::sandbox;
use crate::transport::{Options as DeviceOptions, RequestQueues};

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)] // The names say it.
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    Off,
}

/// What a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Words for people.
    Text,
    /// An object for programs.
    Json,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The standard error stream.
    Stderr,
    /// The system's logger.
    Syslog,
}

/// Where front ends come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Front {
    /// A socket that the daemon makes.
    Path {
        /// Where.
        path: PathBuf,
        /// Who may connect besides the daemon's own user.
        group: Option<String>,
    },
    /// A listening socket that the daemon inherited.
    Descriptor(i32),
}

/// A command line that makes sense.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is shared, and how.
    pub share: Share,
    /// How a guest is moved to another daemon.
    pub migration: migration::Options,
    /// Where front ends come from.
    pub front: Front,
    /// What the device looks like.
    pub device: DeviceOptions,
    /// Most open descriptors: none for the default, 0 for what is set already.
    pub rlimit_nofile: Option<u64>,
    /// Which version table its guests look at.
    pub version_table: Choice,
    /// Whether the table is a region of the device.
    pub table_region: bool,
    /// Size of the DAX window, and which files are mapped into it; none: there is none.
    pub dax: Option<(WindowSize, Policy)>,
    /// Words of a table that is made.
    pub slots: Option<u64>,
    /// How changes made on the host are learned of.
    pub watch: Mode,
    /// What the daemon can reach of the host.
    pub sandbox: sandbox::Options,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Where it goes.
    pub log_target: LogTarget,
    /// What its lines are.
    pub log_format: LogFormat,
    /// What logs and figures call the guest, where the user says so.
    pub name: Option<String>,
    /// Where figures can be had.
    pub stats_socket: Option<PathBuf>,
    /// What the user should know about the options, for the log.
    pub notes: Vec<String>,
}

impl Config {
    /// What the guest is called in logs and figures: as the user says, else by the device's tag, where the daemon knows
    /// it, else by the socket's name.
    #[must_use]
    pub fn guest_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        match (&self.device.tag, &self.front) {
            (Some(tag), _) => tag.to_string(),
            (None, Front::Path { path, .. }) => {
                let stem = path.file_stem().unwrap_or(path.as_os_str());
                stem.to_string_lossy().into_owned()
            }
            // Its parent has one socket for each guest, and knows the directory it gave this one.
            (None, Front::Descriptor(_)) => {
                let directory = &self.share.shared_dir;
                let name = directory.file_name().unwrap_or(directory.as_os_str());
                name.to_string_lossy().into_owned()
            }
        }
    }
}

pub(super) fn check(args: &Args) -> Result<Config, UsageError> {
    let config = Config {
        share: share(args)?,
        migration: args.migration.options()?,
        front: front(args)?,
        notes: notes(args),
        device: device(args),
        rlimit_nofile: args.daemon.rlimit_nofile,
        version_table: args.daemon.version_table.clone(),
        table_region: args.daemon.table_region,
        dax: dax(args)?,
        slots: args.daemon.slots,
        watch: args.daemon.watch.into(),
        sandbox: sandbox::Options {
            mode: args.daemon.sandbox.into(),
            uid_map: args.daemon.uid_map.clone(),
            gid_map: args.daemon.gid_map.clone(),
            seccomp: args.daemon.seccomp.into(),
            modcaps: args.daemon.modcaps.unwrap_or_default(),
        },
        log_level: if args.old.debug { LogLevel::Debug } else { args.daemon.log_level },
        log_target: if args.daemon.syslog { LogTarget::Syslog } else { LogTarget::Stderr },
        log_format: args.daemon.log_format,
        name: args.daemon.name.clone(),
        stats_socket: args.daemon.stats_socket.clone(),
    };
    if config.sandbox.modcaps.forbids_file_handles()
        && config.share.inode_file_handles != InodeFileHandles::Never
    {
        return Err(UsageError::new(
            "--modcaps -dac_read_search takes what file handles need; add --inode-file-handles never",
        ));
    }
    if let (Some(stats), Front::Path { path, .. }) = (&config.stats_socket, &config.front)
        && stats == path
    {
        return Err(UsageError::new(
            "--stats-socket and --socket-path name the same path; choose two",
        ));
    }
    if config.version_table == Choice::Off && config.table_region {
        return Err(UsageError::new(
            "--table-region shows a version table; leave it out with --version-table off",
        ));
    }
    if config.version_table == Choice::Off && config.slots.is_some() {
        return Err(UsageError::new(
            "--slots goes with a version table; leave it out with --version-table off",
        ));
    }
    Ok(config)
}

fn dax(args: &Args) -> Result<Option<(WindowSize, Policy)>, UsageError> {
    let guest = &args.guest;
    match (guest.dax_window, guest.dax) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(UsageError::new(
            "--dax says what is mapped into a window; name its size, for instance --dax-window 128M",
        )),
        (Some(_), _) if guest.readonly => Err(UsageError::new(
            "--dax-window and --readonly exclude each other: QEMU maps only what it may write to",
        )),
        (Some(size), policy) => Ok(Some((size, policy.unwrap_or_default()))),
    }
}

fn share(args: &Args) -> Result<Share, UsageError> {
    let guest = &args.guest;
    let shared_dir = args.shared_dir.clone().ok_or_else(|| {
        UsageError::new(
            "--shared-dir is missing; name the directory to share, for instance --shared-dir /srv/data",
        )
    })?;
    if shared_dir.as_os_str().is_empty() {
        return Err(UsageError::new("--shared-dir is empty; name the directory to share"));
    }
    let (posix_acl, security_label) = (guest.posix_acl.into(), guest.security_label.into());
    let translated = !guest.translate_uid.is_empty() || !guest.translate_gid.is_empty();
    if translated && posix_acl != Negotiation::Never {
        return Err(UsageError::new(
            "--translate-uid and --translate-gid exclude --posix-acl, for ACLs hold ids, too; leave one out",
        ));
    }
    Ok(Share {
        shared_dir,
        cache: guest.cache.into(),
        allow_mmap: guest.allow_mmap,
        writeback: guest.writeback,
        allow_direct_io: guest.allow_direct_io,
        readonly: guest.readonly,
        xattrmap: guest.xattrmap.clone().unwrap_or_default(),
        xattr: guest.xattr
            || guest.xattrmap.is_some()
            || posix_acl != Negotiation::Never
            || security_label != Negotiation::Never,
        posix_acl,
        security_label,
        announce_submounts: !guest.no_announce_submounts,
        readdirplus: !guest.no_readdirplus,
        killpriv_v2: match (guest.killpriv_v2, guest.no_killpriv_v2) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        },
        translate_uid: guest.translate_uid.clone(),
        translate_gid: guest.translate_gid.clone(),
        preserve_noatime: guest.preserve_noatime,
        posix_locks: !guest.no_posix_locks,
        flock: !guest.no_flock,
        inode_file_handles: args.daemon.inode_file_handles.into(),
        ..Share::default()
    })
}

fn front(args: &Args) -> Result<Front, UsageError> {
    let front = &args.front;
    let path = match (&front.socket_path, &args.old.socket) {
        (Some(_), Some(_)) => {
            return Err(UsageError::new(
                "--socket and --socket-path are the same option; give the second",
            ));
        }
        (path, old) => path.as_ref().or(old.as_ref()),
    };
    match (path, front.fd) {
        (Some(_), Some(_)) => {
            Err(UsageError::new("--fd and --socket-path exclude each other; give one of them"))
        }
        (None, None) => Err(UsageError::new(
            "--socket-path is missing; name the socket for the VMM, for instance --socket-path /run/data.sock",
        )),
        (None, Some(_)) if front.socket_group.is_some() => Err(UsageError::new(
            "--socket-group goes with --socket-path; for --fd the parent process sets the socket's group",
        )),
        (None, Some(fd)) if fd < 0 => Err(UsageError::new(format!(
            "--fd {fd} is no descriptor; give the number of a listening socket"
        ))),
        (None, Some(fd)) => Ok(Front::Descriptor(fd)),
        (Some(path), None) => {
            Ok(Front::Path { path: path.clone(), group: front.socket_group.clone() })
        }
    }
}

fn device(args: &Args) -> DeviceOptions {
    let front = &args.front;
    DeviceOptions {
        tag: front.tag.clone(),
        request_queues: front.num_request_queues.unwrap_or(RequestQueues::DEFAULT),
        // Whoever reads the number sets up that many queues, and a VMM that does not expect it has made only one.
        announced_request_queues: front.num_request_queues.unwrap_or(RequestQueues::ONE),
        thread_pool_size: front.thread_pool_size,
        once: front.once,
        region: None,
        window: None,
        identify: std::sync::Arc::new(crate::transport::Plainly),
    }
}

fn notes(args: &Args) -> Vec<String> {
    let mut notes = Vec::new();
    if !args.old.compat.is_empty() {
        notes.push("-o is an old form; write the options out (see --help)".to_owned());
    }
    if args.old.socket.is_some() {
        notes.push("--socket is an old form; write --socket-path".to_owned());
    }
    notes
}
