//! `cargo xtask demo`

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::artifact::{self, progress::Step};
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::guest::Command;
use samepage_tests::framework::vm::Accel;
use samepage_tests::framework::{Guest, Lab, cargo};

/// Boot two VMs on one directory, and show that one's files are the other's
///
/// The first run fetches QEMU, a kernel and busybox, and builds the daemon; that takes a few
/// minutes. Later runs take seconds.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// samepaged, virtiofsd, or the command line of another daemon
    #[arg(long, value_name = "PROGRAM ARGS", default_value = "samepaged")]
    daemon: OsString,
}

/// How often each VM appends to the file that both append to.
const APPENDS: usize = 100;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    println!("Two VMs, one directory.\n");
    artifact::fetch_defaults()?;
    let build = Step::begin("building the daemon and the guests' first process");
    cargo::guest_agent()?;
    if arguments.daemon == "samepaged" {
        cargo::samepaged()?;
    }
    build.done("");
    let boot = Step::begin("booting two VMs");
    let lab = Lab::builder()
        .guests(2)
        // Nothing may be answered from a guest's own cache.
        .cache("never")
        .daemon(Program::parse(&arguments.daemon)?)
        .boot()?;
    boot.done("");
    let release = lab[0].sh("uname -r")?.ok()?.text();
    let accel = match lab.accel() {
        Accel::Kvm => "with KVM",
        Accel::Tcg => "emulated, as this machine has no usable KVM",
    };
    println!("  VM A and VM B are up: Linux {}, {accel}.", release.trim_end());
    println!("  Both have {} of the host at /mnt.\n", lab.share().display());

    tell_the_story(&lab)?;

    lab.power_off()?;
    println!("\nAll three agreed, every time. {:.1} s in all.", begun.elapsed().as_secs_f64());
    println!("Go on with: cargo xtask vm --guests 2 -- 'echo $GUEST >> /mnt/log; cat /mnt/log'");
    Ok(ExitCode::SUCCESS)
}

fn tell_the_story(lab: &Lab) -> Result<()> {
    let (a, b) = (&lab[0], &lab[1]);

    act(a, "A", "echo 'hello from A' > /mnt/greeting")?;
    expect(&act(b, "B", "cat /mnt/greeting")?, "hello from A\n", "B reads what A wrote")?;

    act(b, "B", "mv /mnt/greeting /mnt/farewell")?;
    expect(&act(a, "A", "ls /mnt")?, "farewell\n", "A sees that B renamed it")?;

    let name = lab.host("farewell");
    println!("  host$ cat {}", name.display());
    let text = fs::read_to_string(&name).with_context(|| format!("no {}", name.display()))?;
    print_indented(&text);
    expect(&text, "hello from A\n", "the host sees both")?;

    fs::write(lab.host("from-the-host"), "hello from the host\n")?;
    println!("  host$ echo 'hello from the host' > {}", lab.host("from-the-host").display());
    for (vm, name) in [(a, "A"), (b, "B")] {
        let text = act(vm, name, "cat /mnt/from-the-host")?;
        expect(&text, "hello from the host\n", "and the VMs see the host's")?;
    }

    append_side_by_side(lab)
}

/// Both VMs append to one file at the same time; afterwards everyone must see every line.
fn append_side_by_side(lab: &Lab) -> Result<()> {
    println!("  A and B, at the same time: {APPENDS} lines each, appended to /mnt/log");
    let far = Instant::now() + std::time::Duration::from_mins(2);
    let mut running = Vec::new();
    for (guest, name) in lab.guests().iter().zip(["A", "B"]) {
        let script = format!(
            "i=0; while [ $i -lt {APPENDS} ]; do i=$((i+1)); echo {name} >> /mnt/log; done"
        );
        running.push(guest.start(Command::sh(script))?);
    }
    for command in running {
        command.wait(far)?.ok()?;
    }
    let size = (2 * APPENDS * "A\n".len()).to_string();
    let count = "wc -c < /mnt/log; grep -c A /mnt/log; grep -c B /mnt/log";
    let expected = format!("{size}\n{APPENDS}\n{APPENDS}\n");
    for (guest, name) in lab.guests().iter().zip(["A", "B"]) {
        expect(&act(guest, name, count)?, &expected, "no line is lost")?;
    }
    let on_host = fs::metadata(lab.host("log"))?.len().to_string();
    expect(&on_host, &size, "and the host counts the same bytes")
}

/// Run a step of the story in a VM, and show it.
fn act(guest: &Guest, name: &str, script: &str) -> Result<String> {
    println!("  VM {name}$ {script}");
    let text = guest.sh(script)?.ok()?.text();
    print_indented(&text);
    Ok(text)
}

fn print_indented(text: &str) {
    for line in text.lines() {
        println!("        {line}");
    }
}

fn expect(text: &str, wanted: &str, moral: &str) -> Result<()> {
    ensure!(text == wanted, "not so: {moral}\n  expected {wanted:?}\n  but got  {text:?}");
    println!("    ✓ {moral}");
    Ok(())
}
