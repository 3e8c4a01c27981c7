//! The C header for guests says the same as this crate.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use shm_layout::c_header::{CONSTANTS, MEMBERS};

const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include");

#[test]
fn the_checked_in_header_is_the_generated_one() {
    let mut generated = String::new();
    shm_layout::c_header::write(&mut generated).unwrap();
    let checked_in = std::fs::read_to_string(Path::new(INCLUDE).join("samepage_table.h")).unwrap();
    assert!(generated == checked_in, "stale: cargo run -p shm-layout --example c_header");
}

/// A C program that prints every number the way this test expects it.
fn probe_source() -> String {
    let mut source = String::from(
        "#include <samepage_table.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n",
    );
    for (name, _) in CONSTANTS {
        writeln!(source, "printf(\"{name} %llu\\n\", (unsigned long long)({name}));").unwrap();
    }
    for (of, member, _) in MEMBERS {
        writeln!(source, "printf(\"{of}.{member} %zu\\n\", offsetof(struct {of}, {member}));")
            .unwrap();
    }
    source.push_str("printf(\"sizeof stamp %zu\\n\", sizeof(struct samepage_stamp));\n");
    source.push_str("return 0; }\n");
    source
}

fn expected() -> String {
    let mut lines = String::new();
    for (name, value) in CONSTANTS {
        writeln!(lines, "{name} {value}").unwrap();
    }
    for (of, member, offset) in MEMBERS {
        writeln!(lines, "{of}.{member} {offset}").unwrap();
    }
    writeln!(lines, "sizeof stamp {}", shm_layout::STAMP_LEN).unwrap();
    lines
}

#[test]
fn a_c_compiler_finds_the_same_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("probe.c"), dir.path().join("probe"));
    std::fs::write(&source, probe_source()).unwrap();
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I", INCLUDE, "-o"])
        .args([&program, &source])
        .output()
        .expect("a C compiler as `cc` (Debian: apt install gcc)");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stdout), expected());
}
