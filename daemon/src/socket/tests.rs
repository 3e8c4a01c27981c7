use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};

use tempfile::TempDir;

use super::*;

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    (directory, path)
}

fn bind(path: &Path) -> Result<(BoundSocket, UnixListener), SocketError> {
    BoundSocket::bind(path, None)
}

/// Leaves what a daemon leaves that was killed.
fn leave_behind(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

#[test]
fn only_the_owner_may_connect() {
    let (_directory, path) = place();
    let (_socket, listener) = bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    UnixStream::connect(&path).unwrap();
    listener.accept().unwrap();
}

#[test]
fn a_group_may_connect_when_named() {
    let (_directory, path) = place();
    let group = Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
    let (_socket, _listener) = BoundSocket::bind(&path, Some(&group.name)).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    assert_eq!(metadata.gid(), group.gid.as_raw());
}

#[test]
fn an_unknown_group_is_an_error_and_leaves_nothing() {
    let (_directory, path) = place();
    let error = BoundSocket::bind(&path, Some("no-such-group")).unwrap_err();
    assert!(matches!(error, SocketError::NoGroup(_)), "{error}");
    assert!(!path.exists());
}

#[test]
fn the_path_goes_with_the_socket() {
    let (_directory, path) = place();
    drop(bind(&path).unwrap());
    assert!(!path.exists());
}

#[test]
fn somebody_elses_path_stays() {
    let (_directory, path) = place();
    let ours = bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    drop(ours);
    assert!(path.exists());
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let (_directory, path) = place();
    leave_behind(&path);
    let (_socket, _listener) = bind(&path).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_live_socket_is_neither_taken_nor_disturbed() {
    let (_directory, path) = place();
    let live = UnixListener::bind(&path).unwrap();
    live.set_nonblocking(true).unwrap();
    let error = bind(&path).unwrap_err();
    assert!(matches!(error, SocketError::InUse(_)), "{error}");
    assert!(path.exists());
    let error = live.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "nobody has connected");
}

#[test]
fn live_sockets_of_another_type_count_as_well() {
    let (_directory, path) = place();
    let _live = UnixDatagram::bind(&path).unwrap();
    assert!(matches!(bind(&path), Err(SocketError::InUse(_))));
}

#[test]
fn what_is_no_socket_is_not_replaced() {
    let (directory, path) = place();
    File::create(&path).unwrap().write_all(b"precious").unwrap();
    assert!(matches!(bind(&path), Err(SocketError::NoSocket)));
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    let link = directory.path().join("link");
    let target = directory.path().join("target");
    leave_behind(&target);
    symlink(&target, &link).unwrap();
    assert!(matches!(bind(&link), Err(SocketError::NoSocket)));
    assert!(target.exists());

    assert!(matches!(bind(directory.path()), Err(SocketError::NoSocket)));
}

#[test]
fn directories_that_are_missing_or_none() {
    let (directory, path) = place();
    File::create(&path).unwrap();
    assert!(matches!(bind(&directory.path().join("a/b")), Err(SocketError::NoDirectory)));
    assert!(matches!(bind(&path.join("b")), Err(SocketError::NoDirectory)));
    assert!(matches!(PidFile::lock(&directory.path().join("a/b")), Err(SocketError::NoDirectory)));
}

#[test]
fn paths_that_no_socket_can_have() {
    let (directory, _) = place();
    let long = directory.path().join("x".repeat(108));
    assert!(matches!(bind(&long), Err(SocketError::BadPath)));
    assert!(matches!(PidFile::lock(Path::new("/")), Err(SocketError::BadPath)));
}

#[test]
fn the_pid_file_names_us_and_keeps_others_away() {
    let (_directory, path) = place();
    let pid_path = path.with_extension("pid");
    let lock = PidFile::lock(&path).unwrap();
    assert_eq!(fs::read_to_string(&pid_path).unwrap(), format!("{}\n", std::process::id()));
    let error = PidFile::lock(&path).unwrap_err();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(lock);
    assert!(!pid_path.exists());
}

#[test]
fn a_pid_file_left_behind_is_taken_over() {
    let (_directory, path) = place();
    let pid_path = path.with_extension("pid");
    fs::write(&pid_path, "4000000000\nand more").unwrap();
    let _lock = PidFile::lock(&path).unwrap();
    assert_eq!(fs::read_to_string(&pid_path).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn every_error_names_a_remedy() {
    let errors = [
        SocketError::InUse("another process".to_owned()),
        SocketError::NoSocket,
        SocketError::BadPath,
        SocketError::NoDirectory,
        SocketError::Permission,
        SocketError::NoGroup("kvm".to_owned()),
        SocketError::Group("kvm".to_owned(), io::ErrorKind::PermissionDenied.into()),
        SocketError::Other(io::ErrorKind::StorageFull.into()),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("; ") && !text.contains('\n'), "{text}");
    }
}
