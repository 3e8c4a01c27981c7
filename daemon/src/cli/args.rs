//! Every option, as the user writes it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as Group, Parser};

use super::config::{LogFormat, LogLevel};
use super::migration::MigrationArgs;
use super::others::OldArgs;
use super::values::{CacheMode, FileHandles, Negotiation, SandboxMode, SeccompAction, WatchMode};
use crate::coherent::table::Choice;
use crate::dax::{Policy, WindowSize};
use crate::passthrough::{IdRule, XattrMap};
use crate::sandbox::{IdRange, ModCaps};
use crate::transport::{RequestQueues, Tag};

/// Lines of at most 80 columns: longer ones would be wrapped, and examples with them.
const EXAMPLES: &str = "\
EXAMPLES

Share /srv/data with a VM. The daemon waits for QEMU, serves it, and waits for
the next one. The guest's memory must be shared (share=on).

    samepaged --shared-dir /srv/data --socket-path /run/data.sock

    qemu-system-x86_64 … -m 4G \
        -machine q35,memory-backend=mem \
        -object memory-backend-memfd,id=mem,size=4G,share=on \
        -chardev socket,id=fs,path=/run/data.sock \
        -device vhost-user-fs-pci,chardev=fs,tag=data

    guest# mount -t virtiofs data /mnt

For several VMs start a daemon for each, on the same directory. If QEMU runs as
another user, let its group in:

    samepaged --shared-dir /srv/data --socket-path /run/data.sock \
        --socket-group kvm

libvirt starts and stops the daemon itself. In the domain's XML:

    <memoryBacking>
      <source type='memfd'/><access mode='shared'/>
    </memoryBacking>
    …
    <filesystem type='mount'>
      <driver type='virtiofs'/><binary path='/usr/libexec/samepaged'/>
      <source dir='/srv/data'/><target dir='data'/>
    </filesystem>

See what the guest does while it does it:

    samepaged … --stats-socket /run/data.stats
    curl --unix-socket /run/data.stats http://localhost/metrics

SIGTERM, SIGINT and SIGHUP end the daemon when the requests in progress are
done; a second one ends it at once.

SECURITY

The process that serves the guest has namespaces of its own, in which the shared
directory is the root: nothing else of the host has a path. A second process
stays outside; it makes the sockets and takes signals, and sees nothing of what
the guest sends. Run by another user than root, the daemon makes a user
namespace, too; --uid-map and --gid-map say who is who in it. In a container
that may not make namespaces use --sandbox chroot.

Capabilities that serving does not take are dropped (--modcaps), and system calls
that it does not take end the process (--seccomp). A daemon that ends by SIGSYS
met one: please report it, and use --seccomp log until then.
";

/// Shares a host directory with a VM over vhost-user virtio-fs.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "samepaged",
    version,
    after_long_help = EXAMPLES,
    after_help = "More, with examples for QEMU and libvirt: samepaged --help",
    args_override_self = true,
    override_usage = "samepaged --shared-dir DIR (--socket-path PATH | --fd FD) [OPTIONS]"
)]
pub(super) struct Args {
    /// The directory to share
    #[arg(long, value_name = "DIR")]
    pub(super) shared_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(super) front: FrontArgs,

    #[command(flatten)]
    pub(super) guest: GuestArgs,

    #[command(flatten)]
    pub(super) daemon: DaemonArgs,

    /// Print what this program can do, as JSON for VMM managers, and exit
    #[arg(long)]
    pub(super) print_capabilities: bool,

    #[command(flatten)]
    pub(super) migration: MigrationArgs,

    #[command(flatten)]
    pub(super) old: OldArgs,
}

/// Where the VMM connects, and what the device looks like.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "The VMM's side")]
pub(super) struct FrontArgs {
    /// Where to listen for the VMM
    ///
    /// PATH.pid beside it holds the daemon's process id and keeps a second daemon away. A socket that a dead daemon left
    /// is replaced.
    #[arg(long, value_name = "PATH")]
    pub(super) socket_path: Option<PathBuf>,

    /// A listening socket that the parent process has opened
    ///
    /// Without it and --socket-path the daemon takes the one that systemd passes (LISTEN_FDS).
    #[arg(long, value_name = "FD")]
    pub(super) fd: Option<i32>,

    /// Group that may connect to the socket
    #[arg(long, value_name = "GROUP")]
    pub(super) socket_group: Option<String>,

    /// Exit when the first VMM has disconnected, as virtiofsd does
    #[arg(long)]
    pub(super) once: bool,

    /// Serve a configuration space with this tag
    ///
    /// For VMMs that ask the daemon for it. QEMU's vhost-user-fs-pci has its own tag= and does not (and QEMU 7.1 to 8.0
    /// crash when it is offered).
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Option<Tag>,

    /// Request queues, each with a worker (1 to 63) [default: up to 16, 1 in the configuration space]
    ///
    /// A VMM may use fewer than the daemon has, never more (QEMU: num-request-queues=). A guest that finds the number in
    /// the configuration space (--tag) sets up exactly so many.
    #[arg(long, value_name = "N", value_parser = request_queues)]
    pub(super) num_request_queues: Option<RequestQueues>,

    /// Threads that help the queues' workers with requests of any queue
    ///
    /// For guests with one request queue that have more than one request in flight.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = pool_size)]
    pub(super) thread_pool_size: usize,
}

/// What the guest sees.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "The guest's side")]
pub(super) struct GuestArgs {
    /// What the guest may cache
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CacheMode::Auto, ignore_case = true)]
    pub(super) cache: CacheMode,

    /// Let files be mapped (MAP_SHARED) with --cache never and metadata
    #[arg(long)]
    pub(super) allow_mmap: bool,

    /// Let the guest's page cache hold back writes
    #[arg(long)]
    pub(super) writeback: bool,

    /// Honour the guest's O_DIRECT on the host
    #[arg(long)]
    pub(super) allow_direct_io: bool,

    /// Let the guest map pages of files through a DAX window of this size (2M to 256M)
    ///
    /// One copy of each page for all guests and the host: with mmap(MAP_SHARED), what one stores the others load. For VMMs
    /// that have shared memory regions (QEMU 11.1's vhost-user-test-device-pci); see docs/dax.md. The size is a multiple
    /// of 2M, and QEMU wants a power of two (with --table-region: of the window and the table together).
    #[arg(long, value_name = "SIZE")]
    pub(super) dax_window: Option<WindowSize>,

    /// Which files are mapped (with --dax-window): never, inode, size=SIZE, xattr or always [default: inode]
    ///
    /// Where the guest leaves it to the daemon (-o dax=inode, Linux's default from 5.17 on). `inode`: those of whole pages
    /// that nobody may execute. `size=1M`: of those, the ones that have at least 1 MiB. `xattr`: of those, the ones that
    /// are marked on the host (setfattr -n user.samepage.dax -v 1 FILE). `always`: all; those that QEMU cannot map are EIO.
    #[arg(long, value_name = "WHICH")]
    pub(super) dax: Option<Policy>,

    /// Refuse every change
    #[arg(long)]
    pub(super) readonly: bool,

    /// Extended attributes
    #[arg(long)]
    pub(super) xattr: bool,

    /// Other names for extended attributes on the host than in the guest, for instance :map::user.virtiofs.:
    ///
    /// Rules of :TYPE:SCOPE:KEY:PREPEND: one after the other, each with the separator that it begins with; the first that
    /// matches a name decides, and a name without a rule is refused and hidden. SCOPE is client (guests' names that begin
    /// with KEY), server (names that the host lists and that begin with PREPEND) or all. TYPE is prefix (PREPEND comes
    /// before guests' names, and is taken off the host's), ok (the name stays), bad (EPERM, hidden) or unsupported
    /// (EOPNOTSUPP, hidden). Last may be :map:KEY:PREPEND: to prefix names that begin with KEY (all, where it is empty)
    /// and to keep others from such names. Means --xattr.
    #[arg(long, value_name = "RULES")]
    pub(super) xattrmap: Option<XattrMap>,

    /// POSIX ACLs (with --xattr); `always` fails the mount of a guest without them [default: never; bare: always]
    #[arg(long, value_enum, value_name = "WHEN", require_equals = true, num_args = 0..=1,
          default_value_t = Negotiation::Never, default_missing_value = "always", hide_default_value = true)]
    pub(super) posix_acl: Negotiation,

    /// Security labels of new files come from the guest (with --xattr) [default: never; bare: always]
    #[arg(long, value_enum, value_name = "WHEN", require_equals = true, num_args = 0..=1,
          default_value_t = Negotiation::Never, default_missing_value = "always", hide_default_value = true)]
    pub(super) security_label: Negotiation,

    /// The guest sees mount points below the directory as such [default]
    #[arg(long, overrides_with = "no_announce_submounts")]
    pub(super) announce_submounts: bool,

    /// The guest sees one file system
    #[arg(long, overrides_with = "announce_submounts")]
    pub(super) no_announce_submounts: bool,

    /// Names and attributes are fetched one by one
    #[arg(long)]
    pub(super) no_readdirplus: bool,

    /// The host clears suid and sgid bits at writes [default: where the guest can leave it to the host]
    #[arg(long, overrides_with = "no_killpriv_v2")]
    pub(super) killpriv_v2: bool,

    /// The guest clears suid and sgid bits at writes
    #[arg(long, overrides_with = "killpriv_v2")]
    pub(super) no_killpriv_v2: bool,

    /// Record locks (fcntl) count among all guests and on the host [default]
    ///
    /// Among guests each with a daemon of its own, and against the host's processes. The price is a FLUSH for each file
    /// that a guest closes.
    #[arg(long, overrides_with = "no_posix_locks")]
    pub(super) posix_locks: bool,

    /// Record locks count inside the guest only, as with virtiofsd
    #[arg(long, overrides_with = "posix_locks")]
    pub(super) no_posix_locks: bool,

    /// flock(2) counts among all guests and on the host [default]
    #[arg(long, overrides_with = "no_flock")]
    pub(super) flock: bool,

    /// flock(2) counts inside the guest only, as with virtiofsd
    #[arg(long, overrides_with = "flock")]
    pub(super) no_flock: bool,

    /// Other numbers for users: KIND:FROM:TO:COUNT, as often as needed
    ///
    /// KIND is one of: guest (what a guest's ids are on the host), host (what the host's ids are in the guest), map (both;
    /// FROM is the guest's), squash-guest and squash-host (all become TO), forbid-guest:FROM:COUNT (EPERM for whoever
    /// creates or owns something by them). Other ids stay what they are. Not with --posix-acl, for ACLs hold ids, too.
    #[arg(long, value_name = "RULE")]
    pub(super) translate_uid: Vec<IdRule>,

    /// As --translate-uid, for groups
    #[arg(long, value_name = "RULE")]
    pub(super) translate_gid: Vec<IdRule>,

    /// Honour the guest's O_NOATIME, which fails for files of others unless the daemon is privileged
    #[arg(long)]
    pub(super) preserve_noatime: bool,
}

/// What the daemon does on the host.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "The host's side")]
pub(super) struct DaemonArgs {
    /// How to remember inodes: a file handle costs no descriptor
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = FileHandles::Prefer)]
    pub(super) inode_file_handles: FileHandles,

    /// Keep guests coherent through a version table: `auto`, `off`, or its PATH
    ///
    /// Daemons on one table, each with a guest of its own, tell the guests of every change at once; guests need the
    /// samepage driver and the table (the log says how to hand it to QEMU). `auto` is one table for each shared directory
    /// and user, in /run/samepage (for others than root in $XDG_RUNTIME_DIR/samepage, or in /dev/shm). Daemons whose
    /// directories overlap must name one table. A PATH must be on tmpfs, such as /dev/shm, and the table is made immutable
    /// where the daemon may do that, for a VM dies if its table is cut. With `off` no other guest learns of what this one
    /// changes until its timeouts end.
    #[arg(long, value_name = "TABLE", default_value = "auto")]
    pub(super) version_table: Choice,

    /// Words of a version table that is made: a power of two from 4096 to 67108864 [default: 1048576, which is 8 MiB]
    #[arg(long, value_name = "N", value_parser = slots)]
    pub(super) slots: Option<u64>,

    /// Show the table to the guest in the device itself, too: as shared memory region 1
    ///
    /// For VMMs that have such regions (QEMU 11.1's vhost-user-test-device-pci). QEMU lets the guest write to it, so all
    /// guests of the table must trust each other. The ordinary way, ivshmem with readonly=on, has no such condition.
    #[arg(long)]
    pub(super) table_region: bool,

    /// How to learn of changes made on the host itself, so that guests on a version table see them
    ///
    /// fanotify (needs CAP_SYS_ADMIN) watches whole file systems, inotify each file and directory that the guest knows;
    /// `auto` takes the first that works, and the log says which. What cannot be watched (network file systems, overlayfs,
    /// inodes beyond fs.inotify.max_user_watches) is cached by ordinary timeouts. Choose `off` only if nobody but daemons
    /// of the same table changes the files: guests would never see it.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = WatchMode::Auto)]
    pub(super) watch: WatchMode,

    /// Most descriptors the daemon may have open; 0 leaves the limit alone [default: 1000000, or what the system allows]
    #[arg(long, value_name = "N")]
    pub(super) rlimit_nofile: Option<u64>,

    /// What the daemon can reach of the host
    #[arg(long, value_enum, value_name = "HOW", default_value_t = SandboxMode::Namespace, ignore_case = true)]
    pub(super) sandbox: SandboxMode,

    /// User ids of an unprivileged daemon's user namespace: :INSIDE:HOST:COUNT:, as often as needed
    ///
    /// INSIDE is the first id that the guest sees, HOST the first one on the host; /etc/subuid must allow them, and
    /// newuidmap must be there. [default: the daemon's own user and no other]
    #[arg(long, value_name = "MAP")]
    pub(super) uid_map: Vec<IdRange>,

    /// As --uid-map, for groups (/etc/subgid, newgidmap)
    #[arg(long, value_name = "MAP")]
    pub(super) gid_map: Vec<IdRange>,

    /// What becomes of system calls that serving does not take
    #[arg(long, value_enum, value_name = "ACTION", default_value_t = SeccompAction::Kill)]
    pub(super) seccomp: SeccompAction,

    /// Capabilities to keep (+) or drop (-) besides the usual ones, for instance +sys_admin:-mknod
    ///
    /// Usual are chown, dac_override, fowner, fsetid, setgid, setuid, mknod, setfcap, for file handles dac_read_search,
    /// and with --sandbox none for fanotify sys_admin. What the daemon was not given it does not get.
    #[arg(long, value_name = "CHANGES", allow_hyphen_values = true)]
    pub(super) modcaps: Option<ModCaps>,

    /// How much to log; the variable `RUST_LOG`, where set, decides instead
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = LogLevel::Info)]
    pub(super) log_level: LogLevel,

    /// What a line of the log is: `text`, or a `json` object with time, level, guest, message and fields of its own
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,

    /// Log to syslog, not to stderr
    #[arg(long)]
    pub(super) syslog: bool,

    /// What logs and figures call the guest [default: the tag, else the socket's name, else the directory's]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,

    /// Answer HTTP requests for /metrics (Prometheus text) and /health on this Unix socket
    #[arg(long, value_name = "PATH")]
    pub(super) stats_socket: Option<PathBuf>,
}

/// Reads the arguments one by one; what they mean together is looked at later.
pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    Args::try_parse_from(arguments)
}

fn request_queues(value: &str) -> Result<RequestQueues, String> {
    let count = value.parse().ok().and_then(RequestQueues::new);
    count.ok_or_else(|| format!("a number from 1 to {} is wanted", RequestQueues::MAX))
}

fn slots(value: &str) -> Result<u64, String> {
    let words = value.parse().ok().filter(|words| coherence::valid_words(*words));
    words.ok_or_else(|| "a power of two from 4096 to 67108864 is wanted".to_owned())
}

fn pool_size(value: &str) -> Result<usize, String> {
    const MAX: usize = 1024;
    let size = value.parse().ok().filter(|size| *size <= MAX);
    size.ok_or_else(|| format!("a number from 0 to {MAX} is wanted"))
}
