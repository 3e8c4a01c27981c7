//! What a daemon costs: processor time, context switches, memory, of the process and all its children.

use std::fs;

use anyhow::{Context, Result};

/// Counted since the threads that run now were started. Differences are what counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Nanoseconds on a processor.
    pub(crate) cpu: u64,
    /// Times that a thread gave its processor up, or lost it.
    pub(crate) switches: u64,
}

impl Cost {
    /// The cost so far of `pid` and its children.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut cost = Self::default();
        for pid in family(pid)? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let task = task?.path();
                let times = fs::read_to_string(task.join("schedstat"))?;
                let cpu = times.split_whitespace().next().and_then(|word| word.parse().ok());
                cost.cpu += cpu.unwrap_or(0u64);
                let status = fs::read_to_string(task.join("status"))?;
                cost.switches += field(&status, "voluntary_ctxt_switches:")
                    + field(&status, "nonvoluntary_ctxt_switches:");
            }
        }
        Ok(cost)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, switches: self.switches + other.switches }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

/// Every thread of `pid` and its children.
///
/// # Errors
/// It has ended.
pub(crate) fn threads(pid: u32) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for pid in family(pid)? {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            all.extend(task?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
    }
    Ok(all)
}

/// The most memory, in KiB, that `pid` and its children ever had resident.
///
/// # Errors
/// It has ended.
pub(crate) fn peak_kib(pid: u32) -> Result<u64> {
    let mut peak = 0;
    for pid in family(pid)? {
        peak += field(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmHWM:");
    }
    Ok(peak)
}

fn field(status: &str, name: &str) -> u64 {
    let rest = status.lines().find_map(|line| line.strip_prefix(name));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn family(pid: u32) -> Result<Vec<u32>> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        next += 1;
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(&children).with_context(|| children.clone())?;
        all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Ok(all)
}
