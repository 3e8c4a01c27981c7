//! KVM where it is any good, emulation elsewhere.
//!
//! That `/dev/kvm` opens says little: one kind of nested KVM opens and then runs stock kernels
//! slower than emulation. So a machine is booted with it, against the clock, and the answer is
//! kept until this machine itself boots again.

use std::env;
use std::fs::{self, File};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Machine, Vm};
use crate::framework::artifact::Qemu;
use crate::framework::artifact::store::Lock;
use crate::framework::cleanup::Scratch;
use crate::framework::paths;

/// Emulation takes about this long on a slow machine, and KVM a fraction of it.
const LIMIT: Duration = Duration::from_secs(4);
const RECORD: &str = "accel.json";

/// How a guest's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// By QEMU's translator, one thread a virtual processor.
    Tcg,
}

/// What was found out, and during which boot of this machine.
#[derive(Debug, Serialize, Deserialize)]
struct Finding {
    boot: String,
    accel: Accel,
    why: String,
}

impl Accel {
    /// QEMU's options for it.
    #[must_use]
    pub fn arguments(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Kvm => [("-accel", "kvm"), ("-cpu", "host")],
            Self::Tcg => [("-accel", "tcg,thread=multi"), ("-cpu", "max")],
        }
    }

    /// The right one for this machine; `SAMEPAGE_ACCEL=kvm|tcg` overrules. `machine` is what is
    /// booted to find out.
    ///
    /// # Errors
    /// The finding cannot be kept.
    pub fn choose(qemu: &Qemu, machine: &Machine) -> Result<Self> {
        match env::var("SAMEPAGE_ACCEL").as_deref() {
            Ok("kvm") => return Ok(Self::Kvm),
            Ok("tcg") => return Ok(Self::Tcg),
            Ok(other) => bail!("SAMEPAGE_ACCEL={other}: choose kvm or tcg"),
            Err(_) => {}
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let store = paths::rig();
        let _lock = Lock::take(&store, "accel")?;
        let path = store.join(RECORD);
        let known = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(Finding { boot: of, accel, .. }) = known
            && of == boot
        {
            return Ok(accel);
        }
        let (accel, why) = match try_kvm(qemu, machine) {
            Ok(taken) => (Self::Kvm, format!("a guest was up after {taken:.1?}")),
            Err(error) => (Self::Tcg, format!("{error:#}")),
        };
        let text = serde_json::to_vec_pretty(&Finding { boot, accel, why })?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(accel)
    }
}

/// Boot a guest with KVM, and see how long it takes.
fn try_kvm(qemu: &Qemu, machine: &Machine) -> Result<Duration> {
    let _ = File::options().read(true).write(true).open("/dev/kvm").context("no /dev/kvm")?;
    let scratch = Scratch::new()?;
    let machine = Machine { shares: Vec::new(), kernel_words: Vec::new(), ..machine.clone() };
    let begun = Instant::now();
    let mut vm = Vm::launch("KVM probe", qemu, &machine, Accel::Kvm, scratch.path())?;
    vm.wait_until_up(begun + LIMIT).context("KVM was tried")?;
    Ok(begun.elapsed())
}
