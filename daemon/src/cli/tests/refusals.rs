//! Command lines that are wrong: one line that names the culprit and the remedy.

use super::*;

#[test]
fn what_is_missing_is_named_with_an_example() {
    complaint("--socket-path /run/s", "--shared-dir is missing; name the directory to share");
    complaint("--shared-dir /srv", "--socket-path is missing");
    complaint("", "is missing");
    complaint("--shared-dir= --socket-path /run/s", "--shared-dir");
}

#[test]
fn what_does_not_go_together_is_named() {
    for (options, culprit) in [
        ("--fd 3", "--fd and --socket-path exclude each other"),
        ("--socket /run/other", "--socket and --socket-path"),
        ("--stats-socket /run/s", "--stats-socket and --socket-path name the same path"),
    ] {
        complaint(&format!("{MINIMAL} {options}"), culprit);
    }
    complaint(
        "--shared-dir /srv --fd 3 --socket-group kvm",
        "--socket-group goes with --socket-path",
    );
    complaint("--shared-dir /srv --fd=-1", "--fd -1 is no descriptor");
}

#[test]
fn unknown_options_and_values_are_named() {
    for (options, culprit) in [
        ("--frobnicate", "'--frobnicate'"),
        ("--cahce auto", "'--cache'"),
        ("--cache sometimes", "[possible values: auto, always, never, metadata]"),
        ("--posix-acl=maybe", "'maybe'"),
        ("--inode-file-handles=often", "'often'"),
        ("--log-level loud", "'loud'"),
        ("--num-request-queues 0", "a number from 1 to 63"),
        ("--num-request-queues 64", "a number from 1 to 63"),
        ("--thread-pool-size 2000", "a number from 0 to 1024"),
        ("--thread-pool-size many", "'many'"),
        ("--rlimit-nofile -1", "'-1'"),
        ("--tag aaaaaaaaaabbbbbbbbbbccccccccccddddddd", "36 bytes"),
        ("--fd x", "'x'"),
        ("--cache", "--cache"),
        ("stray", "'stray'"),
        ("-o frobnicate", "-o frobnicate is unknown"),
        ("-o cache=sometimes", "cache may be auto, always, none or metadata"),
        ("-o loglevel=loud", "-o loglevel=loud"),
        ("-o size=1", "-o size=1 is unknown"),
        ("-o xattrmap=:ok:all::", "-o xattrmap=:ok:all::"),
        ("--xattrmap :okay:all:::", "is no type"),
        ("-o no_announce_submounts", "-o no_announce_submounts is unknown"),
        ("-o xattr,", "-o  is unknown"),
    ] {
        complaint(&format!("{MINIMAL} {options}"), culprit);
    }
}

#[test]
fn what_paths_need_goes_with_paths() {
    for option in ["--migration-verify-handles", "--migration-confirm-paths"] {
        complaint(&format!("{MINIMAL} {option} --migration-mode file-handles"), option);
    }
}
