mod old_forms;
mod refusals;

use std::ffi::OsString;
use std::path::Path;

use super::*;
use crate::passthrough::{CachePolicy, Config as Share, InodeFileHandles, Negotiation};
use crate::sandbox;

const MINIMAL: &str = "--shared-dir /srv --socket-path /run/s";

fn parse_line(line: &str) -> Result<Command, UsageError> {
    parse_activated(line, None)
}

fn parse_activated(line: &str, socket: Option<i32>) -> Result<Command, UsageError> {
    let words = std::iter::once("samepaged").chain(line.split_whitespace());
    parse(words.map(OsString::from), socket)
}

/// The configuration of a command line that must be right.
fn config(line: &str) -> Config {
    match parse_line(line) {
        Ok(Command::Serve(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn with(options: &str) -> Config {
    config(&format!("{MINIMAL} {options}"))
}

/// The complaint about a command line that must be wrong: one line that names `culprit`.
fn complaint(line: &str, culprit: &str) -> String {
    let text = parse_line(line).expect_err(line).to_string();
    assert!(!text.contains('\n'), "{line}: {text}");
    assert!(text.contains(culprit), "{line}: {text}");
    text
}

fn printed(line: &str) -> String {
    match parse_line(line) {
        Ok(Command::Print(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

/// `passthrough::Config` has no equality of its own.
fn assert_same(ours: &Share, wanted: &Share) {
    assert_eq!(format!("{ours:#?}"), format!("{wanted:#?}"));
}

#[test]
fn defaults_are_virtiofsds() {
    let config = config(MINIMAL);
    assert_same(
        &config.share,
        &Share {
            shared_dir: "/srv".into(),
            cache: CachePolicy::Auto,
            allow_mmap: false,
            writeback: false,
            allow_direct_io: false,
            readonly: false,
            xattr: false,
            posix_acl: Negotiation::Never,
            security_label: Negotiation::Never,
            announce_submounts: true,
            readdirplus: true,
            killpriv_v2: None,
            preserve_noatime: false,
            inode_file_handles: InodeFileHandles::Prefer,
            ..Share::default()
        },
    );
    assert_eq!(config.front, Front::Path { path: "/run/s".into(), group: None });
    assert_eq!(config.device.request_queues.get(), 16);
    assert_eq!(config.device.announced_request_queues.get(), 1);
    assert_eq!(config.device.thread_pool_size, 0);
    assert!(config.device.tag.is_none());
    assert!(!config.device.once);
    assert_eq!(config.rlimit_nofile, None);
    assert_eq!((config.log_level, config.log_target), (LogLevel::Info, LogTarget::Stderr));
    assert_eq!(config.sandbox, sandbox::Options::default());
    assert_eq!(config.sandbox.mode, sandbox::Mode::Namespace);
    assert!(config.notes.is_empty(), "{:?}", config.notes);
}

#[test]
fn every_option_arrives() {
    let config = with(
        "--socket-group kvm --tag data --num-request-queues 4 --thread-pool-size 8 --once --cache never \
         --allow-mmap --writeback --allow-direct-io --readonly --xattr --posix-acl=auto --security-label \
         --no-announce-submounts --no-readdirplus --killpriv-v2 --preserve-noatime \
         --inode-file-handles=mandatory --rlimit-nofile 5000 --sandbox none --seccomp none --log-level debug \
         --syslog --stats-socket /run/stats",
    );
    assert_same(
        &config.share,
        &Share {
            shared_dir: "/srv".into(),
            cache: CachePolicy::Never,
            allow_mmap: true,
            writeback: true,
            allow_direct_io: true,
            readonly: true,
            xattr: true,
            posix_acl: Negotiation::Auto,
            security_label: Negotiation::Always,
            announce_submounts: false,
            readdirplus: false,
            killpriv_v2: Some(true),
            preserve_noatime: true,
            inode_file_handles: InodeFileHandles::Mandatory,
            ..Share::default()
        },
    );
    assert_eq!(config.front, Front::Path { path: "/run/s".into(), group: Some("kvm".to_owned()) });
    assert_eq!(config.device.request_queues.get(), 4);
    assert_eq!(config.device.announced_request_queues.get(), 4);
    assert_eq!(config.device.thread_pool_size, 8);
    assert_eq!(config.device.tag, Some("data".parse().unwrap()));
    assert!(config.device.once);
    assert_eq!(config.rlimit_nofile, Some(5000));
    assert_eq!((config.log_level, config.log_target), (LogLevel::Debug, LogTarget::Syslog));
    assert_eq!(config.stats_socket.as_deref(), Some(Path::new("/run/stats")));
    assert!(config.notes.is_empty(), "{:?}", config.notes);
}

#[test]
fn the_sandbox_and_its_ids() {
    let sandbox = |options| with(options).sandbox;
    assert_eq!(sandbox("--sandbox none").mode, sandbox::Mode::None);
    assert_eq!(sandbox("--sandbox Chroot").mode, sandbox::Mode::Chroot);
    assert_eq!(sandbox("-o sandbox=chroot").mode, sandbox::Mode::Chroot);
    assert_eq!(sandbox("-o sandbox=namespace").mode, sandbox::Mode::Namespace);
    let options = sandbox("--uid-map :0:100000:65536: --uid-map :70000:1000:1: --gid-map :0:1:1:");
    assert_eq!((options.uid_map.len(), options.gid_map.len()), (2, 1));
    assert_eq!(options.uid_map[1].outside, 1000);
    complaint(&format!("{MINIMAL} --sandbox jail"), "'jail'");
    complaint(&format!("{MINIMAL} -o sandbox=jail"), "namespace, chroot or none");
    complaint(&format!("{MINIMAL} --uid-map 0:1:1"), ":INSIDE:HOST:COUNT:");
}

#[test]
fn ids_are_translated_but_for_acls() {
    let share = with(
        "--translate-uid map:0:1000:1 --translate-uid forbid-guest:1:9 --translate-gid host:5:6:1",
    )
    .share;
    assert_eq!((share.translate_uid.len(), share.translate_gid.len()), (2, 1));
    complaint(&format!("{MINIMAL} --translate-uid map:0:1000"), "forbid-guest:FROM:COUNT");
    complaint(
        &format!("{MINIMAL} --translate-gid map:0:1:1 --posix-acl=auto"),
        "exclude --posix-acl",
    );
    with("--translate-gid map:0:1:1 --posix-acl=never");
}

#[test]
fn system_calls_and_capabilities() {
    use sandbox::Seccomp;
    for (options, action) in [
        ("", Seccomp::Kill),
        ("--seccomp kill", Seccomp::Kill),
        ("--seccomp log", Seccomp::Log),
        ("--seccomp trap", Seccomp::Trap),
        ("--seccomp none", Seccomp::None),
    ] {
        assert_eq!(with(options).sandbox.seccomp, action, "{options}");
    }
    let wanted = "+sys_admin:-mknod".parse().unwrap();
    for options in [
        "--modcaps=+sys_admin:-mknod",
        "--modcaps +sys_admin:-mknod",
        "-o modcaps=+sys_admin:-mknod",
    ] {
        assert_eq!(with(options).sandbox.modcaps, wanted, "{options}");
    }
    assert!(with("--modcaps -mknod").sandbox.modcaps != sandbox::ModCaps::default());
    complaint(&format!("{MINIMAL} --modcaps=+everything"), "everything is no capability");
    complaint(&format!("{MINIMAL} -o modcaps=chown"), "-o modcaps=chown");
    complaint(&format!("{MINIMAL} --seccomp maim"), "'maim'");
    complaint(&format!("{MINIMAL} --modcaps=-dac_read_search"), "--inode-file-handles never");
    with("--modcaps=-dac_read_search --inode-file-handles never");
}

#[test]
fn acls_and_labels_need_xattrs() {
    assert!(with("--posix-acl").share.xattr);
    assert!(with("--security-label=auto").share.xattr);
    assert_eq!(with("--posix-acl").share.posix_acl, Negotiation::Always);
    assert_eq!(with("--posix-acl=never").share.posix_acl, Negotiation::Never);
}

#[test]
fn the_last_of_two_opposites_counts() {
    let announces = |options| with(options).share.announce_submounts;
    assert!(announces("--announce-submounts"));
    assert!(announces("--no-announce-submounts --announce-submounts"));
    assert!(!announces("--announce-submounts --no-announce-submounts"));
    assert_eq!(with("--no-killpriv-v2 --killpriv-v2").share.killpriv_v2, Some(true));
    assert_eq!(with("--killpriv-v2 --no-killpriv-v2").share.killpriv_v2, Some(false));
    assert_eq!(with("--cache never --cache Always").share.cache, CachePolicy::Always);
}

#[test]
fn file_handles_with_or_without_an_equals_sign() {
    assert_eq!(
        with("--inode-file-handles never").share.inode_file_handles,
        InodeFileHandles::Never
    );
    assert_eq!(
        with("--inode-file-handles=fallback").share.inode_file_handles,
        InodeFileHandles::Prefer
    );
}

#[test]
fn locks_count_everywhere_unless_told_otherwise() {
    let locks = |words: &str| {
        let share = with(words).share;
        (share.posix_locks, share.flock)
    };
    assert_eq!(locks(""), (true, true));
    assert_eq!(locks("--no-posix-locks"), (false, true));
    assert_eq!(locks("--no-flock"), (true, false));
    assert_eq!(locks("--no-flock --no-posix-locks --posix-locks --flock"), (true, true));
    assert_eq!(locks("-o no_posix_lock,no_flock -o flock"), (false, true));
    assert_eq!(locks("--no-posix-locks -o posix_lock"), (true, true));
}

#[test]
fn a_descriptor_in_place_of_a_path() {
    assert_eq!(config("--shared-dir /srv --fd 3").front, Front::Descriptor(3));
    let config = config("--shared-dir /srv --socket /run/old");
    assert_eq!(config.front, Front::Path { path: "/run/old".into(), group: None });
}

#[test]
fn capabilities_are_those_of_the_file_for_libvirt() {
    let printed: serde_json::Value =
        serde_json::from_str(&printed("--print-capabilities")).unwrap();
    let file = include_str!("../../dist/50-samepaged.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    assert_eq!(printed["type"], "fs");
    assert_eq!(printed["features"], file["features"]);
    assert_eq!(file["type"], "fs");
    assert!(file["binary"].as_str().unwrap().ends_with("/samepaged"));
}

#[test]
fn help_and_version_are_printed() {
    let help = printed("--help");
    for wanted in ["--shared-dir", "EXAMPLES", "vhost-user-fs-pci", "libvirt", "curl --unix-socket"]
    {
        assert!(help.contains(wanted), "{wanted}");
    }
    assert!(help.contains("Live migration:") && help.contains("file-handles"));
    assert!(printed("-h").contains("--help"));
    assert!(printed("--version").starts_with("samepaged "));
}

#[test]
fn a_socket_that_came_with_the_process_is_for_want_of_another() {
    let front = |line: &str| match parse_activated(line, Some(3)) {
        Ok(Command::Serve(config)) => config.front,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(front("--shared-dir /srv"), Front::Descriptor(3));
    assert_eq!(front("--shared-dir /srv --fd 9"), Front::Descriptor(9));
    for path in ["--socket-path /run/s", "--socket /run/s"] {
        let line = format!("--shared-dir /srv {path}");
        assert_eq!(front(&line), Front::Path { path: "/run/s".into(), group: None });
    }
}

#[test]
fn guests_have_names() {
    assert_eq!(with("--name vm-1 --tag data").guest_name(), "vm-1");
    assert_eq!(with("--tag data").guest_name(), "data");
    assert_eq!(config("--shared-dir /srv/a --socket-path /run/vm-2.sock").guest_name(), "vm-2");
    assert_eq!(config("--shared-dir /srv/a --fd 3").guest_name(), "a");
    assert_eq!(config("--shared-dir / --fd 3").guest_name(), "/");
}

/// What the unit for systemd says is understood.
#[test]
fn the_unit_starts_a_daemon() {
    let unit = include_str!("../../../dist/systemd/samepaged@.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line.replace("%i", "vm-1").replace("${SHARED_DIR}", "/srv");
    let line = line.replace("$OPTIONS", "--cache auto --xattr");
    let words = line.strip_prefix("/usr/libexec/samepaged ").unwrap();
    match parse_activated(words, Some(3)) {
        Ok(Command::Serve(config)) => {
            assert_eq!(config.front, Front::Descriptor(3));
            assert_eq!(config.guest_name(), "vm-1");
            assert_eq!(config.stats_socket.as_deref(), Some(Path::new("/run/samepage/vm-1.stats")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dax_window_has_a_size_and_a_policy() {
    use crate::dax::{Policy, WindowSize};
    let dax = |options: &str| with(options).dax.map(|(size, policy)| (size.get(), policy));
    assert_eq!(dax(""), None);
    assert_eq!(dax("--dax-window 64M"), Some((64 << 20, Policy::Inode)));
    assert_eq!(dax("--dax-window 2M --dax always"), Some((WindowSize::CHUNK, Policy::Always)));
    assert_eq!(dax("--dax-window 2M --dax size=1M"), Some((2 << 20, Policy::Size(1 << 20))));
    assert_eq!(dax("--dax never --dax-window 256M"), Some((WindowSize::MAX, Policy::Never)));
    for (options, culprit) in [
        ("--dax always", "--dax-window"),
        ("--dax-window 64M --readonly", "--readonly"),
        ("--dax-window 3M", "--dax-window"),
        ("--dax-window 64M --dax often", "--dax"),
    ] {
        complaint(&format!("{MINIMAL} {options}"), culprit);
    }
}
