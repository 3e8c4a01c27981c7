//! Directories that cannot be served.

use std::path::Path;

use tempfile::TempDir;

use crate::passthrough::{Config, InodeFileHandles, Passthrough, StartError};

fn refusal(shared_dir: &Path) -> StartError {
    let config = Config { shared_dir: shared_dir.to_owned(), ..Config::default() };
    Passthrough::new(config).expect_err("this cannot be served")
}

#[test]
fn missing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("missing");
    let error = refusal(&path);
    assert!(matches!(error, StartError::Open { .. }), "{error:?}");
    let line = error.to_string();
    assert!(line.contains(path.to_str().unwrap()), "{line}");
    assert!(line.contains("No such file") && !line.contains('\n'), "{line}");
    assert!(!path.exists());
}

#[test]
fn not_a_directory() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "").unwrap();
    assert!(matches!(refusal(&path), StartError::NotADirectory { .. }));
}

#[test]
fn without_handles_where_they_are_mandatory() {
    // procfs has none.
    let config = |inode_file_handles| Config {
        shared_dir: "/proc".into(),
        inode_file_handles,
        ..Config::default()
    };
    let error = Passthrough::new(config(InodeFileHandles::Mandatory)).unwrap_err();
    assert!(matches!(error, StartError::FileHandles { .. }), "{error:?}");
    assert!(error.to_string().contains("--inode-file-handles"));
    assert!(Passthrough::new(config(InodeFileHandles::Prefer)).is_ok());
}

#[test]
fn without_the_privilege_that_handles_need() {
    if !super::share::is_root() {
        return;
    }
    let dir = TempDir::new().unwrap();
    std::thread::scope(|scope| {
        // Capabilities belong to the thread.
        scope.spawn(|| {
            let held = rustix::thread::capabilities(None).unwrap();
            let effective = held.effective - rustix::thread::CapabilitySet::DAC_READ_SEARCH;
            let without = rustix::thread::CapabilitySets { effective, ..held };
            rustix::thread::set_capabilities(None, without).unwrap();
            let config = |inode_file_handles| Config {
                shared_dir: dir.path().to_owned(),
                inode_file_handles,
                ..Config::default()
            };
            let error = Passthrough::new(config(InodeFileHandles::Mandatory)).unwrap_err();
            assert!(error.to_string().contains("CAP_DAC_READ_SEARCH"), "{error}");
            assert!(Passthrough::new(config(InodeFileHandles::Prefer)).is_ok());
        });
    });
}

#[test]
fn a_link_to_a_directory_will_do() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("dir")).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("dir", &link).unwrap();
    assert!(Passthrough::new(Config { shared_dir: link, ..Config::default() }).is_ok());
}
