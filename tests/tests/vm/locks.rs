//! Locks between guests, and with processes of the host.

use std::path::Path;
use std::process::{Child, Command as HostCommand, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use samepage_tests::framework::cargo;
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::guest::{Event, Running};
use samepage_tests::framework::lab::Builder;
use samepage_tests::framework::{Command, Guest, Lab};

const LOCKER: &str = "/bin/samepage-locker";
/// A test that waits longer than this has failed.
const LIMIT: Duration = Duration::from_mins(2);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

fn lab(guests: usize) -> Result<Lab> {
    // virtiofsd knows no locks but the guest's own.
    let builder: Builder = Lab::builder().guests(guests).daemon(Program::Samepaged);
    let lab = builder.cache("auto").program(cargo::locker()?, LOCKER).boot()?;
    std::fs::write(lab.host("f"), "")?;
    std::fs::write(lab.host("g"), "")?;
    Ok(lab)
}

/// A locker that goes through its steps in a guest.
struct Locker(Running);

impl Locker {
    fn start(guest: &Guest, words: &str) -> Result<Self> {
        Ok(Self(guest.start(Command::new(LOCKER).args(words.split(' ')))?))
    }

    /// The next line of its output.
    fn says(&self, expected: &str) -> Result<()> {
        match self.0.next(Instant::now() + LIMIT)? {
            Some(Event::Stdout(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                ensure!(text == format!("{expected}\n"), "{text:?} instead of {expected:?}");
                Ok(())
            }
            other => bail!("{other:?} instead of {expected:?}"),
        }
    }
}

/// What a locker says that goes through its steps without waiting for anybody.
fn steps(guest: &Guest, words: &str) -> Result<String> {
    Ok(guest.run(Command::new(LOCKER).args(words.split(' ')))?.ok()?.text())
}

fn host_steps(words: &[&str]) -> Result<String> {
    let output = HostCommand::new(cargo::locker()?).args(words).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A process of the host's that holds a lock, and is killed in the end.
struct HostHolder(Child);

impl HostHolder {
    fn start(how: &str, file: &Path, step: &str) -> Result<Self> {
        use std::io::BufRead;
        let mut command = HostCommand::new(cargo::locker()?);
        command.arg(how).arg(file).args([step, "hold"]).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().context("it was piped")?;
        let holder = Self(child);
        let mut line = String::new();
        std::io::BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == format!("{step} ok\n"), "{line:?}");
        Ok(holder)
    }
}

impl Drop for HostHolder {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to do then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many requests have asked for a lock, with patience.
fn waits(guest: &Guest) -> Result<u64> {
    Ok(guest.counters()?.requests("SETLKW"))
}

fn until(condition: impl Fn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !condition()? {
        ensure!(begun.elapsed() < LIMIT, "it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn guests_and_the_host_exclude_each_other() -> Result<()> {
    let lab = lab(2)?;
    let on_host = lab.host("f");
    let path = on_host.to_str().context("a path that is text")?;
    for how in ["posix", "ofd", "flock"] {
        let holder = Locker::start(&lab[0], &format!("{how} /mnt/f write:0:10 hold"))?;
        holder.says("write:0:10 ok")?;
        ensure!(steps(&lab[1], &format!("{how} /mnt/f read:5:1"))? == "read:5:1 EAGAIN\n", "{how}");
        ensure!(steps(&lab[0], &format!("{how} /mnt/f read:5:1"))? == "read:5:1 EAGAIN\n", "{how}");
        ensure!(host_steps(&[how, path, "read:5:1"])? == "read:5:1 EAGAIN\n", "{how}");
        if how != "flock" {
            ensure!(steps(&lab[1], &format!("{how} /mnt/f write:10:0"))? == "write:10:0 ok\n");
        }
        let waiter = Locker::start(&lab[1], &format!("{how} /mnt/f wait-write:9:2 hold"))?;
        holder.0.signal(SIGTERM)?;
        waiter.says("wait-write:9:2 ok")?;
        ensure!(host_steps(&[how, path, "write:9:1"])? == "write:9:1 EAGAIN\n", "{how}");
        waiter.0.signal(SIGKILL)?;
        waiter.0.wait(Instant::now() + LIMIT)?;

        let host = HostHolder::start(how, &on_host, "write:0:0")?;
        ensure!(
            steps(&lab[1], &format!("{how} /mnt/f write:3:1"))? == "write:3:1 EAGAIN\n",
            "{how}"
        );
        let waiter = Locker::start(&lab[0], &format!("{how} /mnt/f wait-read:3:1"))?;
        drop(host);
        waiter.says("wait-read:3:1 ok")?;
    }
    // As POSIX has it, whoever closes any descriptor of the file loses the locks; those of open files stay.
    for (how, left) in [("posix", "ok"), ("ofd", "EAGAIN")] {
        let holder = Locker::start(&lab[0], &format!("{how} /mnt/f write:0:1 close hold"))?;
        holder.says("write:0:1 ok")?;
        holder.says("close ok")?;
        let expected = format!("write:0:1 {left}\n");
        ensure!(steps(&lab[1], &format!("{how} /mnt/f write:0:1"))? == expected, "{how}");
        holder.0.signal(SIGKILL)?;
        holder.0.wait(Instant::now() + LIMIT)?;
    }
    lab.power_off()
}

/// There is one request queue, and one worker for it.
#[test]
fn those_who_wait_hold_nobody_up() -> Result<()> {
    let lab = lab(1)?;
    let holder = Locker::start(&lab[0], "posix /mnt/f write:0:0 hold")?;
    holder.says("write:0:0 ok")?;
    let wait = |_| Locker::start(&lab[0], "posix /mnt/f wait-write:0:0");
    let waiters = (0..20).map(wait).collect::<Result<Vec<_>>>()?;
    lab[0].sh("mkdir /mnt/d && echo x > /mnt/d/x && cat /mnt/d/x && rm -r /mnt/d")?.ok()?;
    until(|| Ok(waits(&lab[0])? >= 20))?;
    lab[0].sh("mkdir /mnt/d && rmdir /mnt/d")?.ok()?;
    holder.0.signal(SIGTERM)?;
    for waiter in &waiters {
        waiter.says("wait-write:0:0 ok")?;
    }

    circle(&lab[0], &lab[0])?;
    lab.power_off()
}

/// Two processes would wait for each other, of one guest or of two. A gate sees to it that the second closes the circle.
fn circle(guest: &Guest, other: &Guest) -> Result<()> {
    let gate = Locker::start(guest, "posix /mnt/g write:0:1 hold")?;
    gate.says("write:0:1 ok")?;
    let waiting = || Ok::<_, anyhow::Error>(waits(guest)? + waits(other)?);
    // A guest that is both counts twice.
    let before = waiting()?;
    let last = "posix /mnt/f write:1:1 hold-until:/mnt/g wait-write:0:1 hold";
    let last = Locker::start(other, last)?;
    last.says("write:1:1 ok")?;
    let first = Locker::start(guest, "posix /mnt/f write:0:1 wait-write:1:1 hold")?;
    first.says("write:0:1 ok")?;
    let both = if std::ptr::eq(guest, other) { 4 } else { 2 };
    until(|| Ok(waiting()? >= before + both))?;
    gate.0.signal(SIGTERM)?;
    last.says("hold-until:/mnt/g ok")?;
    last.says("wait-write:0:1 EDEADLK")?;
    last.0.signal(SIGTERM)?;
    first.says("wait-write:1:1 ok")
}

#[test]
fn a_circle_over_two_guests_is_found() -> Result<()> {
    let lab = Lab::builder().guests(2).coherent().program(cargo::locker()?, LOCKER).boot()?;
    for name in ["f", "g"] {
        std::fs::write(lab.host(name), "")?;
    }
    circle(&lab[0], &lab[1])?;
    lab.power_off()
}

#[test]
fn a_guest_that_is_killed_leaves_no_locks() -> Result<()> {
    let mut lab = lab(2)?;
    for how in ["posix", "flock"] {
        let holder = Locker::start(&lab[0], &format!("{how} /mnt/f write:0:0 hold"))?;
        holder.says("write:0:0 ok")?;
        let waiter = Locker::start(&lab[1], &format!("{how} /mnt/f wait-write:0:0 hold"))?;
        ensure!(
            steps(&lab[1], &format!("{how} /mnt/f write:0:0"))? == "write:0:0 EAGAIN\n",
            "{how}"
        );
        lab.power_cycle(0)?;
        waiter.says("wait-write:0:0 ok")?;

        // Now the other way round: somebody waits in the guest that is killed.
        let before = waits(&lab[0])?;
        let _waiter = Locker::start(&lab[0], &format!("{how} /mnt/f wait-write:0:0 hold"))?;
        until(|| Ok(waits(&lab[0])? > before))?;
        lab.power_cycle(0)?;
        ensure!(
            steps(&lab[0], &format!("{how} /mnt/f write:0:0"))? == "write:0:0 EAGAIN\n",
            "{how}"
        );
        lab.power_cycle(1)?;
        ensure!(steps(&lab[0], &format!("{how} /mnt/f write:0:0"))? == "write:0:0 ok\n", "{how}");
    }
    lab.power_off()
}

/// A VMM that is stopped in the midst of its guest's work keeps the guest's locks, and nobody else from anything: its guest
/// goes on where it was. One that is killed while it is stopped leaves none.
#[test]
fn a_frozen_guest_keeps_its_locks_and_nobody_from_working() -> Result<()> {
    let builder = Lab::builder().guests(2).coherent().program(cargo::locker()?, LOCKER);
    let mut lab = builder.boot()?;
    std::fs::write(lab.host("f"), "")?;
    let work = "i=0; until test -e /mnt/stop; do i=$((i+1)); echo $i > /mnt/count; mkdir /mnt/d; rmdir /mnt/d; done";
    let busy = lab[0].start(Command::sh(work))?;
    until(|| Ok(lab.host("count").exists()))?;
    for how in ["posix", "flock"] {
        let holder = Locker::start(&lab[0], &format!("{how} /mnt/f write:0:0 hold"))?;
        holder.says("write:0:0 ok")?;
        signal(&mut lab, Signal::STOP)?;
        // What the frozen one was in the midst of is left alone or finished: others see one or the other.
        lab[1].sh(&format!("for i in $(seq 20); do mkdir /mnt/{how} && echo $i > /mnt/{how}/f && cat /mnt/count > /dev/null && rm -r /mnt/{how} || exit 1; done"))?.ok()?;
        std::fs::write(lab.host("seen"), how)?;
        lab[1].sh(&format!("until [ \"$(cat /mnt/seen)\" = {how} ]; do :; done"))?.ok()?;
        let free = format!("{how} /mnt/f write:0:0");
        ensure!(steps(&lab[1], &free)? == "write:0:0 EAGAIN\n", "the lock of the frozen guest");
        let waiter = Locker::start(&lab[1], &format!("{how} /mnt/f wait-write:0:0"))?;
        signal(&mut lab, Signal::CONT)?;
        // While it is written it is empty, which counts as another number: that is work, too.
        let count = || std::fs::read_to_string(lab.host("count"));
        let before = count()?;
        until(|| Ok(count()? != before))?;
        holder.0.signal(SIGTERM)?;
        waiter.says("wait-write:0:0 ok")?;
    }
    lab[1].sh("touch /mnt/stop")?.ok()?;
    busy.wait(Instant::now() + LIMIT)?.ok()?;
    let holder = Locker::start(&lab[0], "posix /mnt/f write:0:0 hold")?;
    holder.says("write:0:0 ok")?;
    signal(&mut lab, Signal::STOP)?;
    let waiter = Locker::start(&lab[1], "posix /mnt/f wait-write:0:0")?;
    lab[0].kill();
    waiter.says("wait-write:0:0 ok")?;
    lab.power_off()
}

/// Sends the first guest's VMM a signal.
fn signal(lab: &mut Lab, signal: Signal) -> Result<()> {
    lab[0].vm_mut()?.process().signal(signal)
}

/// A stock guest's kernel never says that somebody does not want to wait any more; the driver does.
fn a_signal_ends_a_wait(kernel: &str) -> Result<()> {
    let builder = Lab::builder().guests(1).kernel(kernel).coherent();
    let lab = builder.program(cargo::locker()?, LOCKER).boot()?;
    std::fs::write(lab.host("f"), "")?;
    let path = lab.host("f");
    for how in ["posix", "ofd", "flock"] {
        let holder = Locker::start(&lab[0], &format!("{how} /mnt/f write:0:0 hold"))?;
        holder.says("write:0:0 ok")?;
        let before = waits(&lab[0])?;
        let waiter = Locker::start(&lab[0], &format!("{how} /mnt/f wait-write:0:0"))?;
        until(|| Ok(waits(&lab[0])? > before))?;
        waiter.0.signal(SIGKILL)?;
        waiter.0.wait(Instant::now() + LIMIT).context(how)?;
        // Who was killed does not get the lock when it is free.
        holder.0.signal(SIGKILL)?;
        holder.0.wait(Instant::now() + LIMIT)?;
        let path = path.to_str().context("a path that is text")?;
        until(|| Ok(host_steps(&[how, path, "write:0:0"])? == "write:0:0 ok\n"))?;
    }
    lab.power_off()
}

#[test]
fn a_signal_ends_a_wait_on_6_12() -> Result<()> {
    a_signal_ends_a_wait("6.12")
}

#[test]
#[ignore = "long"]
fn a_signal_ends_a_wait_on_6_1() -> Result<()> {
    a_signal_ends_a_wait("6.1")
}

#[test]
#[ignore = "long"]
fn a_signal_ends_a_wait_on_7_2() -> Result<()> {
    a_signal_ends_a_wait("7.2")
}
