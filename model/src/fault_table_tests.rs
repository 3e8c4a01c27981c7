use std::collections::HashSet;

use super::*;
use crate::ident::{Hashing, Name};
use crate::ident::{Ino, Layout, MAX_NAMES};
use crate::op::{Op, truncation};

#[test]
fn names_are_unique_and_fit_the_command_line() {
    let names: HashSet<String> = FAULTS.iter().map(|e| e.fault.name()).collect();
    assert_eq!(names.len(), FAULTS.len());
    assert!(names.contains("omit-rename-new-entry") && names.contains("no-name-lock"));
    let plain = |c: char| c.is_ascii_lowercase() || c == '-';
    assert!(names.iter().all(|name| name.chars().all(plain)));
}

#[test]
fn every_fault_belongs_to_a_default_scope() {
    let scopes: HashSet<String> = crate::scopes::default().into_iter().map(|s| s.name).collect();
    for entry in FAULTS {
        assert!(scopes.contains(entry.scope), "{} wants {}", entry.fault, entry.scope);
    }
}

/// Each item that an operation announces has a fault that leaves it out.
#[test]
fn every_announced_part_is_left_out_once() {
    let layout = Layout {
        names: 2,
        dirs: 1,
        inodes: 3,
        hashing: Hashing::Apart,
        parents: [Ino(0); MAX_NAMES],
        folds: false,
    };
    let (a, b, file) = (Name(0), Name(1), Ino(1));
    let ops = [
        Op::Create(a),
        Op::CreateTrunc(a),
        Op::Unlink(a),
        Op::Link(file, b),
        Op::Rename(a, b),
        Op::Exchange(a, b),
        Op::Chmod(file),
        Op::Truncate(file),
        Op::Write(file),
        Op::SetXattr(file),
        Op::SetAcl(file),
        Op::Map(file),
    ];
    for op in ops {
        let kind = op.kind().expect("these are changes");
        let mut parts = op.announces(&layout, [Some(file), Some(Ino(2))]);
        if let Op::CreateTrunc(_) = op {
            parts.extend(truncation(file));
        }
        for (part, _) in parts {
            let fault = Fault::Omit(kind, part);
            let known = entry(fault).is_some_and(|e| e.expected.is_some());
            assert!(known, "{fault} is not among the faults");
        }
    }
}
