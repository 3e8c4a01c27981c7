//! A guest that is in the middle of its work goes to another VMM and another daemon.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use samepage_tests::framework::Lab;
use samepage_tests::framework::cargo;
use samepage_tests::framework::daemon::Program;

/// How long the guest may take for a few rounds of its work.
const PATIENCE: Duration = Duration::from_mins(1);

/// Works in a directory of the share, with two files open, until it is told to stop. Whatever fails ends it.
const WORK: &str = r#"
    cd /mnt/d/e; exec 5>>../log 6<../kept; n=0
    while [ ! -e /tmp/stop ]; do
        n=$((n+1))
        echo line $n >&5 || exit 11
        echo $n > f$n || exit 12
        [ "$(cat f$n)" = $n ] || exit 13
        mv f$n g && rm g || exit 14
        ls .. > /tmp/listing || exit 15
        [ "$(pwd)" = /mnt/d/e ] || exit 16
    done
    read word <&6 && [ "$word" = kept ] || exit 17
    echo $n
"#;

#[test]
fn a_guest_goes_on_elsewhere_in_the_middle_of_its_work() -> Result<()> {
    let builder = Lab::builder().daemon(Program::Samepaged).memory(256);
    let mut lab = builder.program(cargo::locker()?, "/bin/samepage-locker").boot()?;
    lab[0].sh("mkdir -p /mnt/d/e; echo kept > /mnt/d/kept")?.ok()?;
    lab[0]
        .sh("dd if=/dev/urandom of=/mnt/big bs=1M count=4; md5sum < /mnt/big > /tmp/sum")?
        .ok()?;
    let script = format!("({WORK}) > /tmp/out 2>&1; echo $? >> /tmp/out; mv /tmp/out /tmp/done");
    lab[0]
        .sh(&format!(
            "cat > /tmp/work <<'END'\n{script}\nEND\nsetsid sh /tmp/work > /dev/null 2>&1 &"
        ))?
        .ok()?;
    let log = lab.host("d/log");
    works(&log, 0)?;

    // What another daemon could not have, the guest keeps by staying.
    let lock =
        "touch /mnt/locked; samepage-locker flock /mnt/locked write:0:0 hold > /tmp/held 2>&1 &";
    lab[0].sh(&format!("{lock} until grep -q ok /tmp/held; do usleep 100000; done"))?.ok()?;
    lab.migrate(0, &[])?.expect_err("a guest that holds a lock");
    let said = fs::read_to_string(lab[0].daemon().log())?;
    ensure!(said.contains("the guest holds locks"), "{said}");
    lab[0].sh("killall samepage-locker; rm /tmp/held")?.ok()?;
    let gone =
        "(exec 9> /mnt/gone; rm /mnt/gone; touch /tmp/held; exec sleep 1000) > /dev/null 2>&1 &";
    lab[0].sh(&format!("{gone} until [ -e /tmp/held ]; do usleep 100000; done"))?.ok()?;
    let why = lab.migrate(0, &[])?.expect_err("a guest with a file without a name");
    ensure!(why.contains("it has no name any more"), "{why}");
    works(&log, lines(&log))?;
    lab[0].sh("killall sleep")?.ok()?;

    // Here and there again: what was restored can be told, too.
    for more in [&[][..], &["--migration-verify-handles"]] {
        lab.migrate(0, more)?.map_err(anyhow::Error::msg)?;
        works(&log, lines(&log))?;
    }
    let check = "echo 3 > /proc/sys/vm/drop_caches; md5sum < /mnt/big | cmp - /tmp/sum; touch /tmp/stop; \
                 while [ ! -e /tmp/done ]; do usleep 100000; done; cat /tmp/done";
    let done = lab[0].sh(check)?.ok()?.text();
    let rounds = done.strip_suffix("\n0\n").with_context(|| format!("the work failed: {done}"))?;
    let rounds: usize = rounds.parse()?;
    let written = fs::read_to_string(&log)?;
    let expected = (1..=rounds).map(|n| format!("line {n}"));
    ensure!(
        written.lines().map(str::to_owned).eq(expected),
        "what the guest has written is not there"
    );
    ensure!(fs::read_dir(lab.host("d/e"))?.next().is_none(), "something was left behind");
    Ok(())
}

/// How often the guest has done its work.
fn lines(log: &Path) -> usize {
    fs::read_to_string(log).unwrap_or_default().lines().count()
}

/// Waits until the guest has done it a few times more.
fn works(log: &Path, before: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while lines(log) < before + 3 {
        ensure!(Instant::now() < deadline, "the guest does not go on after {before} rounds");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
