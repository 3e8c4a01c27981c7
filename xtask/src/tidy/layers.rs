//! Who may know whom: the table of ARCHITECTURE.md, as far as a program can read it.

use super::File;
use super::source::{code, dependencies, names};

/// A crate whose manifest must not name these.
struct Crate {
    manifest: &'static str,
    never: &'static [&'static str],
}

/// Files whose code must not name these. Files of tests may.
struct Folder {
    inside: &'static str,
    except: &'static [&'static str],
    never: &'static [&'static str],
}

const VIRTIO: [&str; 5] =
    ["vhost", "vhost-user-backend", "virtio-queue", "virtio-bindings", "vm-memory"];

const CRATES: &[Crate] = &[
    Crate {
        manifest: "shm-layout/Cargo.toml",
        never: &["coherence", "fuse", "samepaged", "samepage-tests", "libc", "rustix"],
    },
    Crate {
        manifest: "coherence/Cargo.toml",
        never: &["fuse", "samepaged", VIRTIO[0], VIRTIO[1], VIRTIO[2], VIRTIO[3], VIRTIO[4]],
    },
    Crate {
        manifest: "fuse/Cargo.toml",
        never: &[
            "coherence",
            "shm-layout",
            "samepaged",
            "libc",
            "rustix",
            "nix",
            VIRTIO[0],
            VIRTIO[1],
            VIRTIO[2],
            VIRTIO[3],
            VIRTIO[4],
        ],
    },
];

const FOLDERS: &[Folder] = &[
    Folder {
        inside: "daemon/src/",
        except: &["daemon/src/transport/"],
        never: &["vhost", "vhost_user_backend", "virtio_queue", "virtio_bindings", "vm_memory"],
    },
    Folder {
        inside: "daemon/src/passthrough/",
        except: &[],
        never: &["coherence", "transport", "GuestMemory", "GuestAddress"],
    },
    Folder { inside: "daemon/src/transport/", except: &[], never: &["coherence", "passthrough"] },
    Folder { inside: "shm-layout/src/", except: &[], never: &["std"] },
];

/// Where unsafe code may be. Each block there says why it is sound (clippy sees to that).
const UNSAFE: &[&str] = &[
    "bench/src/vhost/",
    "coherence/src/region",
    "coherence/src/sys",
    "daemon/src/sandbox",
    "daemon/src/sys",
    "daemon/src/transport/",
    "tests/guest/src/bin/samepage-calls.rs",
    "tests/history/src/memory.rs",
    "tests/src/framework/process.rs",
];

/// Crates that say in their root that they have none.
const SAFE: &[&str] = &["fuse/src/lib.rs", "shm-layout/src/lib.rs"];

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        manifest(file, &mut complaints);
        if file.is_rust() && !is_test(&file.path) {
            folders(file, &mut complaints);
            unsafe_code(file, &mut complaints);
        }
    }
    complaints
}

/// Tests may look behind the curtain.
fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs")
        || path.contains("/tests/") && !path.starts_with("tests/")
        || path.contains("/testing")
}

fn manifest(file: &File, complaints: &mut Vec<String>) {
    for rule in CRATES.iter().filter(|rule| rule.manifest == file.path) {
        for name in dependencies(&file.text).iter().filter(|name| rule.never.contains(name)) {
            complaints.push(format!("{}: this layer must not depend on {name}", file.path));
        }
    }
}

fn folders(file: &File, complaints: &mut Vec<String>) {
    let applies = |rule: &&Folder| {
        file.path.starts_with(rule.inside)
            && !rule.except.iter().any(|except| file.path.starts_with(except))
    };
    for rule in FOLDERS.iter().filter(applies) {
        for (number, line) in code(&file.text) {
            // A path or an import; the mere word may be a variable.
            let is_path = line.contains("::") || line.trim_start().starts_with("use ");
            for name in rule.never.iter().filter(|name| is_path && names(&line, name)) {
                let place = rule.inside;
                complaints.push(format!("{}:{number}: {place} must not name {name}", file.path));
            }
        }
    }
}

fn unsafe_code(file: &File, complaints: &mut Vec<String>) {
    let allowed = UNSAFE.iter().any(|place| file.path.starts_with(place));
    for (number, line) in code(&file.text) {
        if !allowed && names(&line, "unsafe") {
            complaints.push(format!("{}:{number}: unsafe code has no place here", file.path));
        }
    }
    if SAFE.contains(&file.path.as_str()) && !file.text.contains("#![forbid(unsafe_code)]") {
        complaints.push(format!("{}: must forbid unsafe code", file.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> usize {
        check(&[File { path: path.into(), text: text.into() }]).len()
    }

    #[test]
    fn every_kind_of_edge_is_seen() {
        assert_eq!(complaints("fuse/Cargo.toml", "[dependencies]\nlibc = \"1\"\n"), 1);
        assert_eq!(complaints("fuse/Cargo.toml", "[dev-dependencies]\nlibc = \"1\"\n"), 0);
        assert_eq!(complaints("daemon/src/service.rs", "use vm_memory::GuestMemory;"), 1);
        assert_eq!(complaints("daemon/src/transport/ring.rs", "use vm_memory::Bytes;"), 0);
        assert_eq!(complaints("daemon/src/passthrough/io.rs", "use crate::transport::x;"), 1);
        assert_eq!(complaints("daemon/src/passthrough/io.rs", "// see crate::transport::x"), 0);
    }

    #[test]
    fn unsafe_code_stays_where_it_may_be() {
        assert_eq!(complaints("daemon/src/passthrough/io.rs", "unsafe { f() }"), 1);
        assert_eq!(complaints("daemon/src/sys.rs", "unsafe { f() }"), 0);
        assert_eq!(complaints("fuse/src/lib.rs", "//! nothing forbidden\n"), 1);
    }
}
