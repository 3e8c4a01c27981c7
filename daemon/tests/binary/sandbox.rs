//! `--sandbox`: where the serving process is, and what becomes of it and its supervisor.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use fuse::abi::{CreateIn, Opcode};
use fuse::testing::RequestBuilder;
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::{Daemon, samepaged, samepaged_without_seals};
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;
use crate::support::wait_until;

/// Somebody without rights ("nobody", where there is such a user).
const SOMEBODY: u32 = 65_534;

fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn proc(process: u32, name: &str) -> PathBuf {
    Path::new("/proc").join(process.to_string()).join(name)
}

fn status(process: u32, field: &str) -> String {
    let status = fs::read_to_string(proc(process, "status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().to_owned()
}

fn same_namespace(process: u32, kind: &str) -> bool {
    let namespace = |process| fs::read_link(proc(process, &format!("ns/{kind}"))).unwrap();
    namespace(process) == namespace(std::process::id())
}

fn mount(daemon: &Daemon) -> Guest {
    Guest::mount(FrontEnd::connect(&daemon.socket(), 2))
}

/// That a guest can look at a file, read it and write to it.
fn use_a_file(daemon: &Daemon) {
    let mut guest = mount(daemon);
    let node = guest.lookup("file").unwrap();
    let handle = guest.open(node, libc::O_RDWR as u32).unwrap();
    assert_eq!(guest.read(node, handle, 0, 100).unwrap(), b"contents");
    assert_eq!(guest.write(node, handle, 0, b"CONTENTS"), Ok(8));
    assert_eq!(guest.lookup(".."), Ok(1), "the root is its own parent");
}

/// That no path and no descriptor of the process leads out of the shared directory.
fn is_enclosed(daemon: &Daemon) {
    let (process, share) = (daemon.serving(), daemon.share());
    let root = fs::metadata(proc(process, "root/.")).unwrap();
    let shared = fs::metadata(&share).unwrap();
    assert_eq!((root.dev(), root.ino()), (shared.dev(), shared.ino()));
    let own_fds = fs::metadata(proc(process, "fd")).unwrap();
    for entry in fs::read_dir(proc(process, "fd")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(target) = fs::metadata(&path) else { continue };
        if !target.is_dir() {
            continue;
        }
        let known = [(shared.dev(), shared.ino()), (own_fds.dev(), own_fds.ino())];
        let this = (target.dev(), target.ino());
        assert!(known.contains(&this), "{} is {:?}", path.display(), fs::read_link(&path));
    }
    assert_eq!(status(process, "NoNewPrivs:"), "1");
}

#[test]
fn by_default_the_serving_process_has_namespaces_whose_root_is_the_share() {
    let daemon = Daemon::start(&[]);
    fs::write(daemon.share().join("file"), "contents").unwrap();
    use_a_file(&daemon);
    is_enclosed(&daemon);
    for kind in ["mnt", "pid", "net", "ipc"] {
        assert!(!same_namespace(daemon.serving(), kind), "{kind}");
    }
    let mounts = fs::read_to_string(proc(daemon.serving(), "mountinfo")).unwrap();
    let above = fs::metadata(proc(daemon.serving(), "root/..")).unwrap();
    assert_eq!(above.ino(), fs::metadata(daemon.share()).unwrap().ino(), "there is nothing above");
    assert!(mounts.lines().all(|line| line.split(' ').nth(4) == Some("/")), "{mounts}");
    assert!(mounts.contains("nodev") && mounts.contains("nosuid"), "{mounts}");
}

#[test]
fn a_table_and_its_watch_work_inside() {
    for watch in ["fanotify", "inotify"] {
        if watch == "fanotify" && !am_root() {
            continue;
        }
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let [table, stats] = ["table", "stats"].map(|name| place.path().join(name));
        fs::create_dir(place.path().join("share")).unwrap();
        let mut command = samepaged_without_seals();
        command.arg("--socket-path").arg(place.path().join("socket"));
        command.arg("--shared-dir").arg(place.path().join("share"));
        command.arg("--version-table").arg(table).args(["--watch", watch]);
        command.arg("--stats-socket").arg(&stats);
        let daemon = Daemon::spawn(command, place);
        fs::write(daemon.share().join("file"), "contents").unwrap();
        use_a_file(&daemon);
        let moved = || figure(&stats, "samepaged_watch_events_total");
        let before = moved();
        fs::write(daemon.share().join("another"), "from the host").unwrap();
        wait_until("the host's change is seen", || moved() > before);
        is_enclosed(&daemon);
        assert!(figure(&stats, "process_open_fds") > 3);
    }
}

fn figure(socket: &Path, name: &str) -> u64 {
    use std::io::{Read, Write};
    let mut client = std::os::unix::net::UnixStream::connect(socket).unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    client.read_to_string(&mut page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().parse().unwrap()
}

#[test]
fn with_chroot_the_root_is_the_share() {
    if !am_root() {
        return;
    }
    let daemon = Daemon::start(&["--sandbox", "chroot"]);
    fs::write(daemon.share().join("file"), "contents").unwrap();
    use_a_file(&daemon);
    is_enclosed(&daemon);
    assert!(same_namespace(daemon.serving(), "mnt"));
}

/// The numbers of `CapEff`'s bits.
fn capabilities(process: u32, set: &str) -> Vec<u32> {
    let bits = u64::from_str_radix(&status(process, set), 16).unwrap();
    (0..64).filter(|bit| bits >> bit & 1 == 1).collect()
}

const CHOWN: u32 = 0;
const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const MKNOD: u32 = 27;
const SYS_ADMIN: u32 = 21;
const USUAL: [u32; 8] = [CHOWN, DAC_OVERRIDE, 3, 4, 6, 7, MKNOD, 31];

#[test]
fn every_thread_has_no_more_than_the_usual_capabilities() {
    if !am_root() {
        return;
    }
    let daemon = Daemon::start(&["--inode-file-handles", "never"]);
    let _guest = mount(&daemon);
    let mut threads = 0;
    for thread in fs::read_dir(proc(daemon.serving(), "task")).unwrap() {
        let thread = thread.unwrap().file_name().into_string().unwrap().parse().unwrap();
        for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
            assert_eq!(capabilities(thread, set), USUAL, "{set}");
        }
        for set in ["CapInh:", "CapAmb:"] {
            assert!(capabilities(thread, set).is_empty(), "{set}");
        }
        assert_eq!(status(thread, "Seccomp:"), "2");
        assert_eq!(status(thread, "NoNewPrivs:"), "1");
        threads += 1;
    }
    assert!(threads > 3);
}

#[test]
fn capabilities_can_be_kept_and_dropped() {
    if !am_root() {
        return;
    }
    let has = |options: &[&str], capability| {
        let daemon = Daemon::start(options);
        capabilities(daemon.serving(), "CapEff:").contains(&capability)
    };
    assert!(has(&[], DAC_READ_SEARCH), "file handles are the default");
    assert!(has(&["--modcaps=+sys_admin"], SYS_ADMIN));
    assert!(!has(&["--modcaps=-mknod"], MKNOD));
    assert!(!has(&["--sandbox", "none"], 19), "not without a sandbox either");
}

/// Both processes have a filter in each mode, and its kinds differ in what they do: told by what the kernel says of them.
#[test]
fn a_filter_is_there_unless_none_is_asked_for() {
    for (action, filters) in [("kill", "2"), ("log", "2"), ("trap", "2"), ("none", "0")] {
        for sandbox in ["namespace", "none"] {
            let daemon = Daemon::start(&["--seccomp", action, "--sandbox", sandbox]);
            fs::write(daemon.share().join("file"), "contents").unwrap();
            use_a_file(&daemon);
            for process in [daemon.serving(), daemon.process()] {
                assert_eq!(status(process, "Seccomp:"), filters, "{action}");
            }
        }
    }
}

#[test]
fn with_none_there_is_one_process() {
    let daemon = Daemon::start(&["--sandbox", "none"]);
    assert_eq!(daemon.serving(), daemon.process());
    assert_eq!(fs::read_link(proc(daemon.serving(), "root")).unwrap(), Path::new("/"));
}

#[test]
fn the_whole_host_can_be_shared() {
    if !am_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut command = samepaged();
    command.args(["--shared-dir", "/", "--socket-path"]).arg(place.path().join("socket"));
    let daemon = Daemon::spawn(command, place);
    mount(&daemon).lookup("proc").unwrap();
}

#[test]
fn a_read_only_share_is_a_read_only_mount() {
    let daemon = Daemon::start(&["--readonly"]);
    fs::write(daemon.share().join("file"), "contents").unwrap();
    let mounts = fs::read_to_string(proc(daemon.serving(), "mountinfo")).unwrap();
    let options = mounts.split(' ').nth(5).unwrap();
    assert!(options.split(',').any(|option| option == "ro"), "{mounts}");
    let mut guest = mount(&daemon);
    let node = guest.lookup("file").unwrap();
    assert_eq!(guest.open(node, libc::O_RDWR as u32), Err(libc::EROFS));
}

#[test]
fn the_serving_process_ends_with_its_supervisor() {
    for mode in ["namespace", "chroot"] {
        if mode == "chroot" && !am_root() {
            continue;
        }
        let mut daemon = Daemon::start(&["--sandbox", mode]);
        let serving = daemon.serving();
        assert_ne!(serving, daemon.process());
        daemon.signal(Signal::KILL);
        daemon.wait();
        wait_until("it has ended", || !proc(serving, "fd").exists() || is_zombie(serving));
    }
}

fn is_zombie(process: u32) -> bool {
    fs::read_to_string(proc(process, "stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn the_supervisor_ends_with_the_serving_process_and_tidies_up() {
    let mut daemon = Daemon::start(&[]);
    let serving = Pid::from_raw(daemon.serving().try_into().unwrap()).unwrap();
    kill_process(serving, Signal::KILL).unwrap();
    assert_eq!(daemon.wait().code(), Some(128 + 9));
    assert!(!daemon.socket().exists() && !daemon.path("socket.pid").exists());
    wait_until("the log says why", || daemon.log_count("was ended by SIGKILL") == 1);
}

#[test]
fn the_pid_file_names_the_process_that_was_started() {
    let daemon = Daemon::start(&[]);
    let pid = fs::read_to_string(daemon.path("socket.pid")).unwrap();
    assert_eq!(pid.trim(), daemon.process().to_string());
}

#[test]
fn a_daemon_that_was_killed_is_replaced_at_once() {
    let mut place = Some(tempfile::tempdir().unwrap());
    for _ in 0..5 {
        let daemon = Daemon::start_in(place.take().unwrap(), &[]);
        place = Some(daemon.crash());
    }
}

/// What libvirt does: a record lock on the pid file, taken between fork and exec, is the daemon's sign of life.
#[test]
fn the_supervisor_keeps_the_locks_that_it_was_started_with() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("sign-of-life");
    let inherited = rustix::io::dup(fs::File::create(&path).unwrap()).unwrap();
    let lock = FlockOperation::NonBlockingLockExclusive;
    fs::create_dir(place.path().join("share")).unwrap();
    let mut command = samepaged();
    command.arg("--shared-dir").arg(place.path().join("share"));
    command.arg("--socket-path").arg(place.path().join("socket"));
    // SAFETY: fcntl is async-signal-safe, and nothing else is called.
    unsafe { command.pre_exec(move || Ok(rustix::fs::fcntl_lock(&inherited, lock)?)) };
    let mut daemon = Daemon::spawn(command, place);
    mount(&daemon);
    let file = fs::File::options().write(true).open(&path).unwrap();
    assert!(rustix::fs::fcntl_lock(&file, lock).is_err(), "the supervisor lives");
    let links = fs::read_dir(proc(daemon.serving(), "fd")).unwrap();
    let mut links = links.map(|link| fs::read_link(link.unwrap().path()).unwrap_or_default());
    assert!(!links.any(|link| link == path), "the serving process does not have it");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    rustix::fs::fcntl_lock(&file, lock).expect("it lives no more");
}

/// A daemon of somebody's on a directory of theirs.
fn somebodys(options: &[&str]) -> Daemon {
    let place = tempfile::tempdir().unwrap();
    let share = place.path().join("share");
    fs::create_dir(&share).unwrap();
    fs::write(share.join("file"), "contents").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for path in [place.path().to_owned(), share.clone(), share.join("file")] {
        chown(&path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    // Where the program was built may be closed to others. Copied by another process: a descriptor of ours, open for
    // writing, could be in a child that another test forks just now, and then nobody may execute the copy (ETXTBSY).
    let program = place.path().join("samepaged");
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg(env!("CARGO_BIN_EXE_samepaged")).arg(&program).status().unwrap().success());
    let mut command = std::process::Command::new(program);
    command.env_remove("RUST_LOG").stdin(std::process::Stdio::null());
    command.args(["--version-table", "off", "--socket-path"]).arg(place.path().join("socket"));
    command.arg("--shared-dir").arg(share).args(options);
    command.uid(SOMEBODY).gid(SOMEBODY);
    Daemon::spawn(command, place)
}

#[test]
fn without_privileges_there_is_a_user_namespace() {
    if !am_root() {
        return;
    }
    let daemon = somebodys(&[]);
    use_a_file(&daemon);
    is_enclosed(&daemon);
    let serving = daemon.serving();
    assert!(!same_namespace(serving, "user") && !same_namespace(serving, "pid"));
    let map = fs::read_to_string(proc(serving, "uid_map")).unwrap();
    let numbers: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(numbers, ["65534", "65534", "1"]);
    let mut guest = mount(&daemon);
    assert_eq!(create(&mut guest, "of-root", 0), Ok(()), "root in the guest is the daemon's user");
    assert_eq!(fs::metadata(daemon.share().join("of-root")).unwrap().uid(), SOMEBODY);
    assert_eq!(create(&mut guest, "of-another", 1234), Err(libc::EPERM));
}

#[test]
fn the_own_id_can_be_root_in_the_guest() {
    if !am_root() {
        return;
    }
    let daemon = somebodys(&["--uid-map", ":0:65534:1:", "--gid-map", ":0:65534:1:"]);
    let mut guest = mount(&daemon);
    create(&mut guest, "new", 0).unwrap();
    assert_eq!(fs::metadata(daemon.share().join("new")).unwrap().uid(), SOMEBODY);
    let map = fs::read_to_string(proc(daemon.serving(), "uid_map")).unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "65534", "1"]);
}

fn create(guest: &mut Guest, name: &str, uid: u32) -> Result<(), i32> {
    let create = CreateIn { flags: libc::O_RDWR as u32, mode: 0o644, umask: 0, open_flags: 0 };
    let request = RequestBuilder::new(Opcode::Create).node(1).user(uid, uid).with(&create);
    guest.request(&request.name(name.as_bytes()).build(), 256).map(drop)
}
