//! A machine's description, and QEMU's arguments for it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use samepage_guest::protocol::PORT_NAME;

use super::accel::Accel;

/// One shared directory as the guest sees it.
#[derive(Debug, Clone)]
pub struct Share {
    /// The name to mount it by.
    pub tag: String,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Request queues; virtiofsd has one.
    pub queues: u32,
    /// With the shared memory regions that the daemon has: a device of QEMU's for experiments.
    pub shared_memory: bool,
}

/// A file of the host that the guest sees as the memory of a PCI device (ivshmem, BAR 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The file. Its size, a power of two, is the region's.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the guest may write to it.
    pub writable: bool,
}

impl Region {
    /// This file, at its present size.
    ///
    /// # Errors
    /// It is not there, or its size is no power of two, which a PCI device needs.
    pub fn of(file: impl Into<PathBuf>, writable: bool) -> Result<Self> {
        let file = file.into();
        let problem = || format!("cannot show {} to a guest", file.display());
        let size = file.metadata().with_context(problem)?.len();
        ensure!(size.is_power_of_two(), "{}: {size} bytes is no power of two", problem());
        Ok(Self { file, size, writable })
    }
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The kernel's image.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// Words to add to the kernel's command line.
    pub kernel_words: Vec<String>,
    /// Processors.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Shared directories.
    pub shares: Vec<Share>,
    /// Files that are memory of the guest.
    pub regions: Vec<Region>,
    /// More arguments for QEMU, at the end.
    pub qemu_arguments: Vec<OsString>,
}

impl Machine {
    /// QEMU's arguments. The agent's port is on standard input and output, the kernel's log goes
    /// to `console`.
    #[must_use]
    pub fn arguments(&self, accel: Accel, console: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |option: &str, value: OsString| words.extend([option.into(), value]);
        let plain = ["-nodefaults", "-no-user-config", "-no-reboot"];
        accel.arguments().iter().for_each(|(option, value)| add(option, value.into()));
        add("-machine", "q35,memory-backend=memory".into());
        // The daemon maps the guest's memory, so it must be shareable.
        let memory = format!("memory-backend-memfd,id=memory,size={}M,share=on", self.memory_mib);
        add("-object", memory.into());
        add("-m", format!("{}M", self.memory_mib).into());
        add("-smp", self.processors().into());
        add("-kernel", self.kernel.clone().into());
        add("-initrd", self.initramfs.clone().into());
        add("-append", self.command_line().into());
        add("-display", "none".into());
        add("-chardev", joined("file,id=console,path=", console));
        add("-serial", "chardev:console".into());
        add("-chardev", "stdio,id=agent,signal=off".into());
        add("-device", "virtio-serial-pci".into());
        add("-device", format!("virtserialport,chardev=agent,name={PORT_NAME}").into());
        for (number, share) in self.shares.iter().enumerate() {
            add("-chardev", joined(&format!("socket,id=fs{number},path="), &share.socket));
            let device = if share.shared_memory {
                format!(
                    "vhost-user-test-device-pci,chardev=fs{number},virtio-id=26,num_vqs={},vq_size=1024,config_size=44",
                    share.queues + 1
                )
            } else {
                format!(
                    "vhost-user-fs-pci,chardev=fs{number},tag={},num-request-queues={},queue-size=1024",
                    share.tag.replace(',', ",,"),
                    share.queues
                )
            };
            add("-device", device.into());
        }
        for (number, region) in self.regions.iter().enumerate() {
            let (size, access) = (region.size, if region.writable { "off" } else { "on" });
            let backend = format!(
                "memory-backend-file,id=region{number},size={size},share=on,readonly={access},mem-path="
            );
            add("-object", joined(&backend, &region.file));
            add("-device", format!("ivshmem-plain,memdev=region{number}").into());
        }
        words.extend(plain.map(OsString::from));
        words.extend(self.qemu_arguments.iter().cloned());
        words
    }

    /// In a machine that never has a second processor QEMU makes the guest's atomic operations out
    /// of ordinary ones: in memory that others write to, they would not be atomic.
    fn processors(&self) -> String {
        let writes_shared = self.regions.iter().any(|region| region.writable)
            || self.shares.iter().any(|share| share.shared_memory);
        let most = if writes_shared { self.cpus.max(2) } else { self.cpus };
        format!("cpus={},maxcpus={most}", self.cpus)
    }

    /// A panic ends QEMU, for it is told not to reboot. On a busy host an emulated timer can be too
    /// late for the kernel's check of it, which would panic.
    fn command_line(&self) -> String {
        let mut words = vec!["console=ttyS0", "panic=-1", "no_timer_check", "random.trust_cpu=on"];
        words.extend(self.kernel_words.iter().map(String::as_str));
        words.join(" ")
    }
}

/// `text` and a path, in which QEMU wants commas doubled.
fn joined(text: &str, path: &Path) -> OsString {
    let mut word = OsString::from(text);
    match path.to_str() {
        Some(path) => word.push(path.replace(',', ",,")),
        None => word.push(path),
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_becomes_a_device_and_extra_arguments_come_last() {
        let share = |tag: &str| Share {
            tag: tag.into(),
            socket: "/tmp/a,b".into(),
            queues: 3,
            shared_memory: false,
        };
        let region = |writable| Region { file: "/tmp/r".into(), size: 4096, writable };
        let machine = Machine {
            kernel: "/k".into(),
            initramfs: "/i".into(),
            kernel_words: vec!["samepage.root=host".into()],
            cpus: 2,
            memory_mib: 256,
            shares: vec![share("share"), share("root")],
            regions: vec![region(false), region(true)],
            qemu_arguments: vec!["-s".into()],
        };
        let words = machine.arguments(Accel::Tcg, Path::new("/log"));
        let has = |text: &str| words.iter().any(|word| word.to_string_lossy().contains(text));
        assert!(has("fs1,tag=root,num-request-queues=3") && has("path=/tmp/a,,b"));
        assert!(has("size=4096,share=on,readonly=on,mem-path=/tmp/r") && has("memdev=region1"));
        assert!(has("cpus=2,maxcpus=2"));
        assert_eq!(Machine { cpus: 1, ..machine.clone() }.processors(), "cpus=1,maxcpus=2");
        let reads = Machine { cpus: 1, regions: vec![region(false)], ..machine };
        assert_eq!(reads.processors(), "cpus=1,maxcpus=1");
        assert!(has("size=256M,share=on") && has("panic=-1") && has("samepage.root=host"));
        assert_eq!(words.last().unwrap(), "-s");
    }
}
