//! `cargo xtask vm`

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use samepage_tests::framework::daemon::Program;
use samepage_tests::framework::guest::{Command, Running};
use samepage_tests::framework::lab::{Builder, Root};
use samepage_tests::framework::{Lab, paths};

use crate::RIG_FAILED;

mod stream;

/// How many failed runs' logs stay.
const KEPT_LOGS: usize = 20;

/// The status of a run that took too long, as with timeout(1).
const TIMED_OUT: u8 = 124;

/// Boot VMs on one shared directory and run a script in each
///
/// Every guest has the directory at /mnt, and its number in $GUEST (0 to N-1; $GUESTS is N). Its
/// output appears line by line behind `[guest N] `; the kernel's messages go to a log of their
/// own. One word after `--` is a script for the guest's sh; several are a program and its
/// arguments, passed on byte for byte.
///
/// The exit status is the worst of the guests' (128 plus the signal for a program that was
/// killed); 124 when the time is over; 125 when a VM or a daemon failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm -- 'uname -r; ls -l /mnt'
  cargo xtask vm --guests 2 --cache never -- 'echo $GUEST >> /mnt/log; cat /mnt/log'
  cargo xtask vm --coherent --guests 2 -- 'grep mnt /proc/mounts; ls /sys/kernel/debug/samepage'
  cargo xtask vm --dax 64M --guests 2 --mount-options dax=always -- 'grep mnt /proc/mounts'
  cargo xtask vm --share /srv/data --kernel 6.1 -- find /mnt -name '*.rs'
  cargo xtask vm --root host --memory 2048 -- 'cd /mnt && git clone /srv/repo && make -C repo'
  cargo xtask vm --daemon virtiofsd --cache auto -- 'cat /proc/mounts'
  cargo xtask vm --daemon '/opt/other-daemon --log debug' -- true
  cargo xtask vm --daemon 'crosvm device fs --socket {socket} --tag x --shared-dir {share}' -- true
  cargo xtask vm --qemu-arg=-s --keep-log /tmp/logs -- 'exit 3'   # gdb: target remote :1234")]
pub(crate) struct Arguments {
    /// How many guests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    guests: u32,
    /// Their kernel: 6.1, 6.12, 7.2, with -amd64 for one with more drivers, or the path of an
    /// image with virtio-fs built in
    #[arg(long, value_name = "SERIES", default_value = "6.12")]
    kernel: String,
    /// The directory to share [default: a new empty one, removed afterwards]
    #[arg(long, value_name = "DIR")]
    share: Option<PathBuf>,
    /// Guests whose caches are coherent: the daemons feed a version table, the guests have the
    /// driver that checks it and mount the share with it (`mount -t samepage`)
    #[arg(long)]
    coherent: bool,
    /// With --coherent: so many of the guests, the last ones, are stock ones
    #[arg(long, value_name = "N", requires = "coherent", default_value_t = 0)]
    stock: u32,
    /// The daemon's cache mode: auto, always, never or metadata [default: the daemon's]
    #[arg(long, value_name = "MODE")]
    cache: Option<String>,
    /// samepaged, virtiofsd, or the command line of another daemon, quoted as for a shell;
    /// --socket-path and --shared-dir are added unless it holds {socket} or {share}
    #[arg(long, value_name = "PROGRAM ARGS", default_value = "samepaged")]
    daemon: OsString,
    /// One more argument for the daemon (may be repeated)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    daemon_arg: Vec<OsString>,
    /// Show the daemons' logs on standard error, behind `[daemon N] `
    #[arg(long)]
    daemon_log: bool,
    /// The guests' root: busybox in memory, or the host's root below a scratch layer, with every
    /// program that the host has
    #[arg(long, value_name = "tiny|host", default_value = "tiny", value_parser = root)]
    root: Root,
    /// Processors of each guest
    #[arg(long, value_name = "N", default_value_t = 1)]
    cpus: u32,
    /// Memory of each guest, in MiB
    #[arg(long, visible_alias = "memory", value_name = "MIB", default_value_t = 512)]
    mem: u32,
    /// Request queues of the share (virtiofsd has one)
    #[arg(long, value_name = "N", default_value_t = 1)]
    queues: u32,
    /// Options for mounting the share, such as dax=always
    #[arg(long, value_name = "OPTIONS")]
    mount_options: Option<String>,
    /// A DAX window of this size for the share, such as 64M; mounts with dax=inode unless
    /// --mount-options says otherwise
    #[arg(long, value_name = "SIZE")]
    dax: Option<String>,
    /// One more word for the kernels' command line (may be repeated)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    kernel_arg: Vec<String>,
    /// One more argument for QEMU (may be repeated)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu_arg: Vec<OsString>,
    /// Put a static program into a tiny root, as HOST:GUEST (may be repeated)
    #[arg(long, value_name = "HOST:GUEST", value_parser = program)]
    program: Vec<(PathBuf, String)>,
    /// Seconds until the guests are killed, counted from when they are up
    #[arg(long, value_name = "S", default_value_t = 600)]
    timeout: u64,
    /// Keep kernel and daemon logs here, also when all goes well
    #[arg(long, value_name = "DIR")]
    keep_log: Option<PathBuf>,
    /// The script, or a program and its arguments
    #[arg(last = true, required = true, value_name = "SCRIPT")]
    script: Vec<OsString>,
}

fn root(text: &str) -> Result<Root, String> {
    match text {
        "tiny" => Ok(Root::Tiny),
        "host" => Ok(Root::Host),
        _ => Err("choose tiny or host".into()),
    }
}

fn program(text: &str) -> Result<(PathBuf, String), String> {
    let (host, guest) = text.split_once(':').ok_or("write HOST:GUEST")?;
    if !guest.starts_with('/') {
        return Err("the path in the guest must be absolute".into());
    }
    Ok((host.into(), guest.into()))
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let temporary = paths::logs().join(format!("vm-{}", std::process::id()));
    forget_old_logs()?;
    let logs = arguments.keep_log.as_ref().unwrap_or(&temporary);
    let result = run_guests(arguments, arguments.lab()?.logs(logs));
    match &result {
        Ok(0) if arguments.keep_log.is_none() => fs::remove_dir_all(&temporary)?,
        Ok(0) => {}
        Ok(_) | Err(_) if logs.is_dir() => eprintln!("logs: {}", logs.display()),
        Ok(_) | Err(_) => {}
    }
    result.map(ExitCode::from)
}

/// Of the logs of earlier runs that failed, only the newest are worth their space.
fn forget_old_logs() -> Result<()> {
    let entries = fs::read_dir(paths::logs()).into_iter().flatten().flatten();
    let mut runs: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("vm-"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    runs.sort();
    for (_, path) in runs.iter().rev().skip(KEPT_LOGS) {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

impl Arguments {
    fn lab(&self) -> Result<Builder> {
        let mut lab = Lab::builder()
            .guests(self.guests as usize)
            .kernel(&self.kernel)
            .daemon(Program::parse(&self.daemon)?)
            .daemon_args(&self.daemon_arg)
            .echo_daemon(self.daemon_log)
            .root(self.root)
            .cpus(self.cpus)
            .memory(self.mem)
            .queues(self.queues)
            .kernel_args(&self.kernel_arg)
            .qemu_args(&self.qemu_arg);
        if self.coherent {
            lab = lab.coherent().stock_guests(self.stock as usize);
        }
        if let Some(share) = &self.share {
            lab = lab.share(share);
        }
        if let Some(cache) = &self.cache {
            lab = lab.cache(cache);
        }
        if let Some(window) = &self.dax {
            lab = lab.dax(window, "inode");
        }
        if let Some(options) = &self.mount_options {
            lab = lab.mount_options(options);
        }
        for (host, guest) in &self.program {
            lab = lab.program(host, guest);
        }
        Ok(lab)
    }

    fn command(&self, number: usize) -> Command {
        let command = match self.script.as_slice() {
            [script] => Command::sh(script),
            [program, arguments @ ..] => Command::new(program).args(arguments),
            [] => Command::new("true"),
        };
        command.env("GUEST", number.to_string()).env("GUESTS", self.guests.to_string())
    }
}

/// Run the script everywhere and give back the worst status.
fn run_guests(arguments: &Arguments, lab: Builder) -> Result<u8> {
    let lab = lab.boot()?;
    let deadline = Instant::now() + Duration::from_secs(arguments.timeout);
    let (report, reports) = channel();
    for (number, guest) in lab.guests().iter().enumerate() {
        let running = guest.start(arguments.command(number))?;
        let report = report.clone();
        thread::spawn(move || {
            // The receiver waits for every guest, unless the time is over.
            let _ = report.send((number, follow(number, &running, deadline)));
        });
    }
    drop(report);
    let mut worst = 0;
    for (number, ended) in reports {
        let status = match ended {
            Ok(Some(status)) => status,
            Ok(None) => {
                eprintln!("error: guest {number} ran for {} s; killed", arguments.timeout);
                TIMED_OUT
            }
            Err(error) => {
                eprintln!("error: {:#}", lab[number].vm()?.explain(&error));
                RIG_FAILED
            }
        };
        worst = worst.max(status);
    }
    if worst != TIMED_OUT && worst != RIG_FAILED {
        lab.power_off()?;
    }
    Ok(worst)
}

/// Print what a guest's command writes until it ends; `None` when the time is over.
fn follow(number: usize, running: &Running, deadline: Instant) -> Result<Option<u8>> {
    let mut printer = stream::Printer::new(&format!("[guest {number}] "));
    let status = loop {
        match running.next(deadline)? {
            Some(event) => {
                if let Some(status) = printer.print(event)? {
                    break Some(u8::try_from(status).unwrap_or(u8::MAX));
                }
            }
            None => break None,
        }
    };
    printer.finish()?;
    Ok(status)
}
