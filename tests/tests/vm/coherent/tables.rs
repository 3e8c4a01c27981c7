//! Tables that are none, or not whole. The guest says so in one line and works without.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use samepage_tests::framework::artifact::kernel;
use samepage_tests::framework::{Guest, Lab};

use super::{assert_calm, driver_log, with_driver};

const SIZE: usize = 1 << 16;
const HEADER: usize = 4096;
const ABI: usize = 8;
const HEADER_LEN: usize = 12;
const ID: usize = 16;
const WORDS: usize = 32;
const UNUSED: usize = 40;

/// A table that is right: nothing but its header.
fn table() -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(b"SAMEPAGE");
    bytes[ABI] = 1;
    bytes[HEADER_LEN..ID].copy_from_slice(&4096_u32.to_le_bytes());
    bytes[ID..WORDS].copy_from_slice(b"not the daemon's");
    bytes[WORDS..UNUSED].copy_from_slice(&(SIZE as u64 / 8).to_le_bytes());
    bytes
}

/// That table with some bytes overwritten.
fn with(at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = table();
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// Bytes without any order; the same in each run.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..SIZE / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// What is shown to the guest, and what its log says of it; nothing about memory that is not ours.
fn bad_tables() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let words = |count: u64| with(WORDS, &count.to_le_bytes());
    let mut magic_then_noise = noise();
    magic_then_noise[..8].copy_from_slice(b"SAMEPAGE");
    vec![
        ("magic", with(0, b"SOMEPAGE"), None),
        ("noise", noise(), None),
        ("abi", with(ABI, &2_u32.to_le_bytes()), Some("unknown ABI version")),
        ("header", with(HEADER_LEN, &8192_u32.to_le_bytes()), Some("wrong header length")),
        ("id", with(ID, &[0; 16]), Some("no id")),
        ("larger", words(SIZE as u64 / 4), Some("wrong number of words")),
        ("odd", words(SIZE as u64 / 8 - 1), Some("wrong number of words")),
        ("none", words(0), Some("wrong number of words")),
        ("fields", with(UNUSED, &[1]), Some("unknown fields in the header")),
        ("magic-then-noise", magic_then_noise, Some("unknown ABI version")),
    ]
}

fn device(number: usize, file: &Path) -> [OsString; 4] {
    let backend = format!(
        "memory-backend-file,id=bad{number},size={SIZE},share=on,readonly=on,mem-path={}",
        file.display()
    );
    let device = format!("ivshmem-plain,memdev=bad{number}");
    ["-object".into(), backend.into(), "-device".into(), device.into()]
}

#[test]
fn a_bad_table_is_one_line_in_the_log_and_the_share_works() -> Result<()> {
    let place = tempfile::tempdir()?;
    let mut arguments = Vec::new();
    for (number, (name, bytes, _)) in bad_tables().into_iter().enumerate() {
        let file = place.path().join(name);
        fs::write(&file, bytes)?;
        arguments.extend(device(number, &file));
    }
    let lab = with_driver(kernel::DEFAULT)?.qemu_args(arguments).boot()?;
    let guest = &lab[0];
    guest.sh("umount /mnt && insmod /driver/samepage.ko")?.ok()?;
    guest.sh("/driver/mount.samepage share /mnt && echo hello > /mnt/greeting")?.ok()?;
    assert_eq!(fs::read_to_string(lab.host("greeting"))?, "hello\n");

    let log = driver_log(guest)?;
    let refused: Vec<_> = log.iter().filter(|line| line.contains("refused")).collect();
    let expected: Vec<_> = bad_tables().into_iter().filter_map(|(_, _, why)| why).collect();
    assert_eq!(refused.len(), expected.len(), "{log:#?}");
    for why in expected {
        assert!(refused.iter().any(|line| line.ends_with(why)), "{why}: {log:#?}");
    }
    assert!(log.iter().any(|line| line.contains("caching by timeouts")), "{log:#?}");
    assert!(!guest.sh("grep ' /mnt ' /proc/mounts")?.ok()?.text().contains("table="));

    // Memory that was refused is free for whoever wants it, and for the next attempt.
    guest.sh("umount /mnt && /driver/mount.samepage --release share && rmmod samepage")?.ok()?;
    assert_eq!(guest.sh("grep samepage /proc/iomem || :")?.ok()?.text(), "");
    assert_calm(guest)?;
    lab.power_off()
}

#[test]
fn a_table_that_the_daemon_does_not_know_is_not_used() -> Result<()> {
    let place = tempfile::tempdir()?;
    let file = place.path().join("table");
    fs::write(&file, table())?;
    let lab = with_driver(kernel::DEFAULT)?.qemu_args(device(0, &file)).boot()?;
    let guest = &lab[0];
    guest.sh("umount /mnt && insmod /driver/samepage.ko")?.ok()?;
    guest.sh("/driver/mount.samepage share /mnt && echo hello > /mnt/greeting")?.ok()?;
    let log = driver_log(guest)?;
    assert!(log.iter().any(|line| line.contains("does not use the version table")), "{log:#?}");
    assert!(!guest.sh("grep ' /mnt ' /proc/mounts")?.ok()?.text().contains("table="));

    // Asking for another one finds none.
    let other =
        "umount /mnt; /driver/mount.samepage share /mnt -o table=00112233445566778899aabbccddeeff";
    guest.sh(other)?.ok()?;
    let log = driver_log(guest)?;
    assert!(log.last().is_some_and(|line| line.contains("no version table")), "{log:#?}");
    assert_calm(guest)?;
    lab.power_off()
}

/// Only where nobody keeps the table as long as it is can it come to that: a daemon that starts refuses such a table itself
/// (`daemon/tests/binary/tables.rs`), and seals it then.
#[test]
fn a_table_that_is_shorter_than_the_vm_was_told_is_an_error_of_qemu_at_once() -> Result<()> {
    let place = tempfile::tempdir()?;
    let file = place.path().join("table");
    fs::write(&file, &table()[..SIZE / 2])?;
    let refused = with_driver(kernel::DEFAULT)?.qemu_args(device(0, &file)).boot();
    let said = format!("{:#}", refused.err().context("the VM starts")?);
    // Releases word it differently; each names the device and both sizes.
    assert!(said.contains("bad0 backing store size 0x8000"), "{said}");
    assert!(said.contains("'size' option 0x10000"), "{said}");
    Ok(())
}

/// Whether looking again at what was looked at before costs a request.
pub(super) fn costs_requests(guest: &Guest) -> Result<bool> {
    let look = "stat /mnt/f > /dev/null";
    guest.sh(&format!("{look}; {look}"))?.ok()?;
    let (_, requests) = guest.requests_of(&format!("{look}; {look}"))?;
    println!("{requests:?}");
    Ok(requests.requests_but(&["FORGET", "BATCH_FORGET"]) > 0)
}

/// Times that the driver has said that its table is gone.
pub(super) fn gone(guest: &Guest) -> Result<usize> {
    let log = driver_log(guest)?;
    Ok(log.iter().filter(|line| line.contains("is gone")).count())
}

/// The table's file, for whoever does to it what nobody should. Its seal is not put back.
fn opened(lab: &Lab) -> Result<fs::File> {
    let table = lab.table().context("a coherent lab has a table")?;
    let file = fs::File::open(table)?;
    if ioctl_getflags(&file).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE)) {
        ioctl_setflags(&file, IFlags::empty())?;
    }
    Ok(fs::File::options().read(true).write(true).open(table)?)
}

fn with_a_cached_file() -> Result<(Lab, fs::File)> {
    let lab = Lab::builder().coherent().boot()?;
    let table = opened(&lab)?;
    lab[0].sh("echo text > /mnt/f")?.ok()?;
    assert!(!costs_requests(&lab[0])?, "nothing is cached to begin with");
    Ok((lab, table))
}

/// Another header: one line, and a right one is not believed any more; by the driver, that is. Whether the daemon, which
/// looks now and then, has seen the wrong one is a matter of luck.
#[test]
fn a_table_that_is_gone_means_to_ask() -> Result<()> {
    let (lab, table) = with_a_cached_file()?;
    let guest = &lab[0];
    table.write_all_at(b"SOMEPAGE", 0)?;
    assert!(costs_requests(guest)?);
    table.write_all_at(b"SAMEPAGE", 0)?;
    assert!(costs_requests(guest)?);
    assert_eq!(gone(guest)?, 1);
    assert_eq!(guest.sh("cat /mnt/f")?.ok()?.text(), "text\n");
    assert_calm(guest)?;
    lab.power_off()
}

/// A header that is overwritten field by field while guests and daemons use the table. They may go on or give the table up;
/// what a guest sees is what the host has in either case, and it says at most once that its table is gone.
#[test]
fn a_header_that_changes_under_running_guests_makes_nothing_stale() -> Result<()> {
    let lab = Lab::builder().coherent().guests(2).boot()?;
    let table = opened(&lab)?;
    let mut header = [0; HEADER];
    let id: [u8; 16] = std::array::from_fn(|byte| byte as u8 + 1);
    let fields: [(&str, usize, &[u8]); 6] = [
        ("abi", ABI, &2_u32.to_le_bytes()),
        ("length", HEADER_LEN, &8192_u32.to_le_bytes()),
        ("words", WORDS, &(1_u64 << 40).to_le_bytes()),
        ("unused", UNUSED, &[1]),
        ("id", ID, &id),
        ("noise", 0, &noise()[..HEADER]),
    ];
    lab[1].sh("echo first > /mnt/f")?.ok()?;
    for (name, at, bytes) in fields {
        lab[0].sh("cat /mnt/f; ls /mnt")?.ok()?;
        table.read_exact_at(&mut header, 0)?;
        table.write_all_at(bytes, at as u64)?;
        // A daemon that has seen the table go refuses changes.
        lab[1].sh(&format!("echo {name} > /mnt/f; touch /mnt/{name} || :"))?.ok()?;
        let host = (fs::read_to_string(lab.host("f"))?, lab.host(name).exists());
        let contents = lab[0].sh("cat /mnt/f")?.ok()?.text();
        let made = lab[0].sh(&format!("test -e /mnt/{name}"))?.ok().is_ok();
        assert_eq!((contents, made), host, "{name}");
        table.write_all_at(&header, 0)?;
    }
    for guest in [&lab[0], &lab[1]] {
        assert!(gone(guest)? <= 1);
        assert_calm(guest)?;
    }
    lab.power_off()
}

/// Words that were given up, or are nonsense: nothing is cached that was not told of later, and nothing to be told about.
#[test]
fn a_table_that_is_busy_for_good_means_to_ask() -> Result<()> {
    let (lab, table) = with_a_cached_file()?;
    let guest = &lab[0];
    let mut words = vec![0; table.metadata()?.len() as usize - HEADER];
    table.read_exact_at(&mut words, HEADER as u64)?;
    words.chunks_exact_mut(8).for_each(|word| word[..2].fill(0xff));
    table.write_all_at(&words, HEADER as u64)?;
    assert!(costs_requests(guest)?);
    guest.sh("echo more >> /mnt/f; ln /mnt/f /mnt/g")?.ok()?;
    assert_eq!(guest.sh("stat -c %h /mnt/f; cat /mnt/f")?.ok()?.text(), "2\ntext\nmore\n");

    // The same for who mounts with such a table.
    guest.sh("umount /mnt && mount -t samepage share /mnt")?.ok()?;
    assert!(guest.sh("grep ' /mnt ' /proc/mounts")?.ok()?.text().contains("table="));
    assert!(costs_requests(guest)?);
    assert_eq!(guest.sh("stat -c %h /mnt/f; cat /mnt/f")?.ok()?.text(), "2\ntext\nmore\n");

    let nonsense = noise().into_iter().cycle().take(words.len()).collect::<Vec<_>>();
    table.write_all_at(&nonsense, HEADER as u64)?;
    guest.sh("echo last >> /mnt/f; rm /mnt/g")?.ok()?;
    assert_eq!(guest.sh("stat -c %h /mnt/f; cat /mnt/f")?.ok()?.text(), "1\ntext\nmore\nlast\n");
    assert_eq!(gone(guest)?, 0);
    assert_calm(guest)?;
    lab.power_off()
}
