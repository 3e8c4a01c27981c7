//! What a daemon holds: descriptors, threads, memory.

use std::fs;

use anyhow::{Context, Result};

/// The resources of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory, in KiB: with what it has touched of its guest's memory.
    pub resident_kib: u64,
    /// Resident memory that is nobody else's and no file's: its heap and stacks. In KiB.
    pub anonymous_kib: u64,
}

impl Usage {
    /// The resources of process `pid` and all its descendants together, for a daemon that works in
    /// a child of its own.
    ///
    /// # Errors
    /// The process has ended.
    pub fn of(pid: u32) -> Result<Self> {
        let mut sum = Self::of_one(pid)?;
        for child in children(pid) {
            let more = Self::of(child)?;
            sum.descriptors += more.descriptors;
            sum.threads += more.threads;
            sum.resident_kib += more.resident_kib;
            sum.anonymous_kib += more.anonymous_kib;
        }
        Ok(sum)
    }

    fn of_one(pid: u32) -> Result<Self> {
        let problem = || format!("process {pid} has ended");
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).with_context(problem)?.count();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).with_context(problem)?.count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(problem)?;
        let kib = |name: &str| -> Option<u64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse().ok()
        };
        Ok(Self {
            descriptors,
            threads,
            resident_kib: kib("VmRSS:").with_context(problem)?,
            anonymous_kib: kib("RssAnon:").with_context(problem)?,
        })
    }
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(str::parse).collect::<Vec<_>>())
        .filter_map(Result::ok)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_usage_can_be_read() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.descriptors >= 3 && before.threads >= 1 && before.resident_kib > 0);
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Usage::of(u32::MAX).is_err());
    }
}
