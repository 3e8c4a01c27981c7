//! `-o`, as the C virtiofsd had it and libvirt 9 writes it.

use super::*;

#[test]
fn the_c_virtiofsds_options() {
    let config = config(
        "-f -d --socket-path=/run/s -o source=/srv,cache=none,xattr,no_readdirplus -o writeback,killpriv_v2 \
         -o allow_direct_io,announce_submounts,posix_acl,security_label,no_flock,no_posix_lock,loglevel=warn",
    );
    assert_same(
        &config.share,
        &Share {
            shared_dir: "/srv".into(),
            cache: CachePolicy::Never,
            allow_mmap: false,
            writeback: true,
            allow_direct_io: true,
            readonly: false,
            xattr: true,
            posix_acl: Negotiation::Always,
            security_label: Negotiation::Always,
            announce_submounts: true,
            readdirplus: false,
            killpriv_v2: Some(true),
            preserve_noatime: false,
            inode_file_handles: InodeFileHandles::Prefer,
            posix_locks: false,
            flock: false,
            ..Share::default()
        },
    );
    assert_eq!(config.log_level, LogLevel::Debug, "-d");
    assert!(config.notes.iter().any(|note| note.contains("-o")));
}

/// As libvirt 9 writes them (`qemuVirtioFSBuildCommandLine`): a path's comma is doubled.
#[test]
fn the_words_of_libvirt() {
    let config = config(
        "--fd=30 -o source=/srv/a,,b,cache=always,xattr,no_flock,no_posix_lock --thread-pool-size=4 \
         --rlimit-nofile=5000 --readonly -d",
    );
    assert_eq!(config.front, Front::Descriptor(30));
    assert_eq!(config.share.shared_dir, Path::new("/srv/a,b"));
    assert_eq!(config.share.cache, CachePolicy::Always);
    assert!(config.share.xattr && config.share.readonly);
    assert_eq!((config.device.thread_pool_size, config.rlimit_nofile), (4, Some(5000)));
    assert_eq!(config.log_level, LogLevel::Debug);
    assert!(!config.share.flock && !config.share.posix_locks);
}

#[test]
fn old_forms_take_back_what_older_ones_gave() {
    let share =
        with("--xattr --writeback --killpriv-v2 -o no_xattr,no_writeback,no_killpriv_v2").share;
    assert!(!share.xattr && !share.writeback);
    assert_eq!(share.killpriv_v2, Some(false));
    let levels = ["debug", "info", "warn", "err"]
        .map(|level| with(&format!("-o loglevel={level}")).log_level);
    assert_eq!(levels, [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error]);
    for (name, mode) in [
        ("auto", CachePolicy::Auto),
        ("always", CachePolicy::Always),
        ("metadata", CachePolicy::Metadata),
    ] {
        assert_eq!(with(&format!("-o cache={name}")).share.cache, mode);
    }
}
