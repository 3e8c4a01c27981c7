//! System calls that a tiny guest has no program for.
//!
//! `samepage-calls map FILE`: its first line, read through a mapping;
//! `samepage-calls list`: the names in the directory that is its standard input, or the error's name;
//! `samepage-calls sync`: whether that can be synchronized, in the same way;
//! `samepage-calls set-acl FILE USER RIGHTS`: grant a user rights (0 to 7), and everybody reading.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use rustix::fs::{RawDir, XattrFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// Where Linux keeps access ACLs, and how it writes them: a version, then entries of tag, rights
/// and user (`linux/posix_acl_xattr.h`).
const NAME: &str = "system.posix_acl_access";
const VERSION: u32 = 2;
const NOBODY_IN_PARTICULAR: u32 = u32::MAX;
/// What is mapped.
const PAGE: usize = 4096;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samepage-calls: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["map", file] => println!("{}", first_line(&File::open(file)?)?),
        ["set-acl", file, user, rights] => {
            let acl = acl(user.parse()?, rights.parse()?);
            rustix::fs::setxattr(*file, NAME, &acl, XattrFlags::empty())?;
        }
        ["list"] => println!("{}", list().unwrap_or_else(|errno| format!("{errno:?}"))),
        ["sync"] => {
            let synced = nix::unistd::fsync(std::io::stdin());
            println!("{}", synced.map_or_else(|errno| format!("{errno:?}"), |()| "ok".to_owned()));
        }
        _ => bail!("usage: samepage-calls map FILE | list | sync | set-acl FILE USER RIGHTS"),
    }
    Ok(())
}

/// What `getdents64(2)` says of standard input, with no call in between.
fn list() -> Result<String, Errno> {
    let errno = |errno: rustix::io::Errno| Errno::from_raw(errno.raw_os_error());
    let stdin = std::io::stdin();
    let mut buffer = Vec::with_capacity(PAGE);
    let mut directory = RawDir::new(stdin.as_fd(), buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = directory.next() {
        names.push(entry.map_err(errno)?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    Ok(names.join(" "))
}

fn first_line(file: &File) -> Result<String> {
    let length = usize::try_from(file.metadata()?.len())?.min(PAGE);
    let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED);
    // SAFETY: a new mapping, where the kernel likes it, harms no other.
    let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), PAGE, protection, flags, file, 0) };
    let start = start?.cast::<u8>();
    let bytes = (0..length).map(|at| {
        // SAFETY: within the page that is mapped, for as long as this process lives; others may
        // write to it meanwhile, so it is read byte by byte.
        unsafe { start.wrapping_add(at).read_volatile() }
    });
    let line = bytes.take_while(|byte| *byte != b'\n').collect();
    String::from_utf8(line).context("it is no text")
}

/// The shortest ACL that names a user.
fn acl(user: u32, rights: u16) -> Vec<u8> {
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x04;
    const MASK: u16 = 0x10;
    const OTHERS: u16 = 0x20;
    let mut bytes = VERSION.to_le_bytes().to_vec();
    let all = NOBODY_IN_PARTICULAR;
    let entries = [(OWNER, 6, all), (USER, rights, user), (GROUP, 4, all), (MASK, 7, all)];
    for (tag, rights, who) in entries.into_iter().chain([(OTHERS, 4, all)]) {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(who.to_le_bytes());
    }
    bytes
}
