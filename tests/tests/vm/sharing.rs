//! The first things: a share is a share, and the rig tells the truth.

use std::fs;

use anyhow::Result;
use samepage_tests::framework::{Command, Lab};

#[test]
fn what_one_guest_writes_the_other_and_the_host_read() -> Result<()> {
    let lab = Lab::builder().guests(2).cache("auto").boot()?;
    lab[0].sh("echo hello > /mnt/greeting")?.ok()?;
    assert_eq!(lab[1].sh("cat /mnt/greeting")?.ok()?.text(), "hello\n");
    assert_eq!(fs::read_to_string(lab.host("greeting"))?, "hello\n");
    lab.power_off()
}

#[test]
fn without_caches_changes_are_seen_at_once() -> Result<()> {
    let lab = Lab::builder().guests(2).cache("never").boot()?;
    lab[0].sh("echo one > /mnt/a; mkdir /mnt/d")?.ok()?;
    assert_eq!(lab[1].sh("cat /mnt/a; ls /mnt")?.ok()?.text(), "one\na\nd\n");
    lab[1].sh("mv /mnt/a /mnt/d/b; chmod 640 /mnt/d/b; echo two >> /mnt/d/b")?.ok()?;
    let seen = lab[0].sh("ls /mnt; stat -c %a /mnt/d/b; cat /mnt/d/b")?.ok()?;
    assert_eq!(seen.text(), "d\n640\none\ntwo\n");
    fs::write(lab.host("d/b"), "host\n")?;
    fs::remove_dir_all(lab.host("d"))?;
    assert_eq!(lab[1].sh("ls /mnt | wc -l")?.ok()?.text(), "0\n");
    Ok(())
}

#[test]
fn status_output_and_arguments_travel_untouched() -> Result<()> {
    let lab = Lab::builder().boot()?;
    let output = lab[0].sh("echo out; echo err >&2; exit 42")?;
    assert_eq!(output.status, 42);
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert_eq!(lab[0].sh("kill -9 $$")?.status, 128 + 9);
    let awkward = ["a  b", "\"$x\"", "it's", "", "*", "\n"];
    let echoed = lab[0].run(Command::new("printf").arg("%s|").args(awkward))?.ok()?;
    assert_eq!(echoed.text(), "a  b|\"$x\"|it's||*|\n|");
    let big = vec![b'x'; 1 << 20];
    let copied = lab[0].run(Command::new("cat").stdin(big.clone()))?.ok()?;
    assert!(copied.stdout == big, "a mebibyte came back as {} bytes", copied.stdout.len());
    Ok(())
}

#[test]
fn the_hosts_programs_run_in_a_guest_with_the_hosts_root() -> Result<()> {
    use samepage_tests::framework::lab::Root;
    let lab = Lab::builder().root(Root::Host).boot()?;
    let release = fs::read_to_string("/etc/os-release")?;
    assert_eq!(lab[0].sh("cat /etc/os-release")?.ok()?.text(), release);
    let scratch = "echo x > /etc/scratch && cat /etc/scratch && perl -e 'print qq(perl\\n)'";
    assert_eq!(lab[0].sh(scratch)?.ok()?.text(), "x\nperl\n");
    assert!(!std::path::Path::new("/etc/scratch").exists());
    Ok(())
}
