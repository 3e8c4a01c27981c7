//! One page for everybody: guests and the host.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use samepage_history::{mapper, queue};
use samepage_tests::framework::Command;

use super::{lab, md5};

const PAGE: usize = 4096;

/// Two guests and the host pass a token through a mapped page.
fn token(turns: u64) -> Result<()> {
    let lab = lab("inode")?.guests(2).boot()?;
    let path = lab.host("token");
    fs::write(&path, vec![0; PAGE])?;
    let play = |guest: usize| {
        let command = format!("exec mapper token /mnt/token {guest} {turns}");
        lab[guest].start(Command::sh(command))
    };
    let players = [play(0)?, play(1)?];
    let host = mapper::pass_token(&path, 2, turns)?;
    let mut all = host;
    for player in players {
        let deadline = Instant::now() + Duration::from_mins(10);
        all += player.wait(deadline)?.ok()?.text().trim().parse::<u64>()?;
    }
    ensure!(all == turns && host == turns / 1000, "{all} turns, {host} of them the host's");
    lab.power_off()
}

#[test]
fn a_token_goes_round_through_a_page() -> Result<()> {
    token(100_000)
}

#[test]
#[ignore = "long"]
fn a_token_goes_round_a_million_times() -> Result<()> {
    token(1_000_000)
}

#[test]
fn what_one_stores_all_others_load() -> Result<()> {
    let lab = lab("inode")?.guests(2).boot()?;
    fs::write(lab.host("file"), vec![0; 3 * PAGE])?;
    let load = |guest: usize, word: usize| -> Result<u64> {
        let output = lab[guest].sh(&format!("mapper load /mnt/file {word}"))?.ok()?;
        Ok(output.text().trim().parse()?)
    };
    // All have it mapped before anything is stored.
    assert_eq!((load(0, 600)?, load(1, 600)?), (0, 0));
    lab[0].sh("mapper store /mnt/file 600 7")?.ok()?;
    assert_eq!((load(1, 600)?, mapper::load(&lab.host("file"), 600)?), (7, 7));
    lab[1].sh("mapper sync /mnt/file 600 8")?.ok()?;
    let mut bytes = [0; 8];
    File::open(lab.host("file"))?.read_exact_at(&mut bytes, 600 * 8)?;
    assert_eq!((load(0, 600)?, u64::from_le_bytes(bytes)), (8, 8));
    mapper::store(&lab.host("file"), 600, 9, false)?;
    assert_eq!((load(0, 600)?, load(1, 600)?), (9, 9));
    // write(2) and read(2) mean the same pages.
    lab[0].sh("printf AAAAAAAA | dd of=/mnt/file bs=8 seek=601 conv=notrunc 2>&1")?.ok()?;
    assert_eq!(load(1, 601)?, u64::from_le_bytes(*b"AAAAAAAA"));
    lab.power_off()
}

#[test]
fn files_that_grow_are_mapped_to_their_new_end() -> Result<()> {
    let lab = lab("inode")?.guests(2).cache("never").boot()?;
    let path = lab.host("log");
    let sum =
        |guest: usize| -> Result<String> { Ok(lab[guest].sh("md5sum < /mnt/log")?.ok()?.text()) };
    fs::write(&path, "x".repeat(PAGE))?;
    for pages in [1, 3, 256, 700] {
        ensure!((sum(0)?, sum(1)?) == (md5(&path)?, md5(&path)?), "before {pages} pages more");
        let bytes: Vec<u8> = (0..pages * PAGE).map(|byte| (byte % 251) as u8).collect();
        File::options().append(true).open(&path)?.write_all(&bytes)?;
        ensure!((sum(0)?, sum(1)?) == (md5(&path)?, md5(&path)?), "{pages} pages by the host");
        let append = format!(
            "dd if=/dev/urandom of=/mnt/log bs=4096 count={pages} iflag=fullblock oflag=append \
             conv=notrunc 2>&1"
        );
        lab[0].sh(&append)?.ok()?;
        ensure!((sum(0)?, sum(1)?) == (md5(&path)?, md5(&path)?), "{pages} pages by a guest");
    }
    lab.power_off()
}

#[test]
fn what_cannot_be_mapped_is_an_error_and_never_something_else() -> Result<()> {
    let lab = lab("inode")?.cache("never").boot()?;
    fs::write(lab.host("log"), "x".repeat(PAGE))?;
    // As long as somebody has it open, the guest keeps it mapped.
    let holder = lab[0].start(Command::sh(
        "exec 3< /mnt/log; dd bs=4096 count=1 <&3 2>&1 >/dev/null; : > /mnt/ready; \
         until test -e /mnt/go; do usleep 50000; done",
    ))?;
    while !lab.host("ready").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    File::options().append(true).open(lab.host("log"))?.write_all(b"tail")?;
    for look in ["stat /mnt/log", "cat /mnt/log"] {
        let output = lab[0].sh(&format!("{look} 2>&1"))?;
        ensure!(output.status != 0 && output.text().contains("Input/output error"), "{output:?}");
    }
    File::options().append(true).open(lab.host("log"))?.write_all(&vec![b'y'; PAGE - 4])?;
    let output = lab[0].sh("tail -c 5000 /mnt/log | head -c 908")?.ok()?;
    ensure!(output.text() == "x".repeat(904) + "tail", "{}", output.text());
    fs::write(lab.host("go"), "")?;
    holder.wait(Instant::now() + Duration::from_mins(2))?.ok()?;
    lab.power_off()
}

#[test]
fn a_window_smaller_than_the_files_is_used_again_and_again() -> Result<()> {
    let lab = lab("inode")?.boot()?;
    let mut sums = Vec::new();
    for number in 0..4 {
        let path = lab.host(&format!("file{number}"));
        let bytes: Vec<u8> =
            (0u32..4 << 20).flat_map(|word| (word ^ number).to_le_bytes()).collect();
        fs::write(&path, bytes)?;
        sums.push(md5(&path)?);
    }
    for _ in 0..2 {
        let (output, requests) =
            lab[0].requests_of("for i in 0 1 2 3; do md5sum < /mnt/file$i; done")?;
        ensure!(output.text() == sums.concat(), "{}", output.text());
        // 32 chunks of 2 MiB, 8 of them fit.
        ensure!(requests.requests("SETUPMAPPING") >= 24, "{requests:?}");
        ensure!(requests.requests("READ") == 0, "{requests:?}");
    }
    lab.power_off()
}

/// From one guest to the other and back at the same time.
fn queues(entries: u64) -> Result<()> {
    let lab = lab("inode")?.guests(2).boot()?;
    for name in ["there", "back"] {
        fs::write(lab.host(name), vec![0; queue::BYTES as usize])?;
    }
    let play = |guest: usize, puts: &str, takes: &str| {
        lab[guest].start(Command::sh(format!(
            "mapper produce /mnt/{puts} {entries} & mapper consume /mnt/{takes} {entries} && wait $!"
        )))
    };
    let players = [play(0, "there", "back")?, play(1, "back", "there")?];
    for player in players {
        player.wait(Instant::now() + Duration::from_mins(10))?.ok()?;
    }
    lab.power_off()
}

#[test]
fn a_queue_without_locks_goes_through_a_page() -> Result<()> {
    queues(20_000)
}

#[test]
#[ignore = "long"]
fn a_million_entries_go_through_a_queue() -> Result<()> {
    queues(1_000_000)
}

#[test]
#[ignore = "long"]
fn a_gibibyte_goes_through_a_window_of_16_mib() -> Result<()> {
    const FILES: u64 = 16;
    const FILE: u64 = 64 << 20;
    let lab = lab("inode")?.command_limit(Duration::from_mins(15)).boot()?;
    for seed in 0..FILES {
        let path = lab.host(&format!("file{seed}"));
        File::create_new(&path)?.set_len(FILE)?;
        mapper::fill(&path, seed)?;
    }
    for seed in 0..FILES {
        let next = seed + 100;
        let script = format!("mapper check /mnt/file{seed} {seed} {next}");
        let (output, requests) = lab[0].requests_of(&script)?;
        ensure!(output.text().trim() == (FILE / 4096).to_string(), "{output:?}");
        ensure!(requests.requests("SETUPMAPPING") >= FILE >> 21, "{requests:?}");
        ensure!(requests.requests("READ") == 0, "{requests:?}");
    }
    // What the guest has stored is there, and nothing else.
    for seed in 0..FILES {
        mapper::check(&lab.host(&format!("file{seed}")), seed + 100, seed + 100)?;
    }
    lab.power_off()
}

fn maps(policy: &str, files: &[(&str, usize, bool)]) -> Result<()> {
    let lab = lab("inode")?.daemon_args(["--dax", policy]).boot()?;
    for (name, pages, _) in files {
        fs::write(lab.host(name), "x".repeat(pages * PAGE))?;
        if name.starts_with("marked") {
            let path = lab.host(name);
            rustix::fs::setxattr(
                path,
                c"user.samepage.dax",
                b"1",
                rustix::fs::XattrFlags::empty(),
            )?;
        }
    }
    for (name, pages, mapped) in files {
        let (output, requests) =
            lab[0].requests_of(&format!("wc -c < /mnt/{name}; cat /mnt/{name} | wc -c"))?;
        let size = (pages * PAGE).to_string();
        ensure!(output.text().lines().all(|line| line.trim() == size), "{output:?}");
        ensure!((requests.requests("SETUPMAPPING") > 0) == *mapped, "{name}: {requests:?}");
        ensure!((requests.requests("READ") == 0) == *mapped, "{name}: {requests:?}");
    }
    lab.power_off()
}

#[test]
fn only_large_files_are_mapped_where_so_wished() -> Result<()> {
    maps("size=8K", &[("small", 1, false), ("large", 2, true)])
}

#[test]
fn only_marked_files_are_mapped_where_so_wished() -> Result<()> {
    maps("xattr", &[("plain", 4, false), ("marked", 4, true)])
}
