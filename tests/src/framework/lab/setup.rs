//! From a description to a lab that runs.

use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::builder::{Builder, ROOT_TAG, Root, SHARE_TAG};
use super::{Guest, Lab, Plan};
use crate::framework::artifact::{Kernel, Qemu, module, tools};
use crate::framework::cargo;
use crate::framework::cleanup::Scratch;
use crate::framework::daemon::{Daemon, Program, Spec, Table};
use crate::framework::guest::initramfs;
use crate::framework::paths;
use crate::framework::vm::{Accel, Machine, Region, Share};

impl Builder {
    /// Fetch and build what is missing, start the daemons, boot the guests side by side, and mount
    /// the share in each.
    ///
    /// The calling thread must live as long as the lab.
    ///
    /// # Errors
    /// Something cannot be fetched, built or started.
    pub fn boot(self) -> Result<Lab> {
        ensure!(self.guests > 0, "a lab without guests is none");
        ensure!(self.stock_guests <= self.guests, "more stock guests than guests");
        let alone = self.guests == 1 || self.more_shares.is_empty();
        ensure!(alone, "shares of the caller's own are for one guest");
        let scratch = Scratch::new()?;
        let tables = if self.coherent { Some(Scratch::in_memory()?) } else { None };
        for directory in [Some(&scratch), tables.as_ref()].into_iter().flatten() {
            chown(directory.path(), self.user, self.user)?;
        }
        let (share, own_share) = self.shared_directory()?;
        let logs = self.log_directory()?;
        let table =
            tables.as_ref().map(|tables| self.version_table(tables.path(), &share)).transpose()?;
        let plan = self.plan(&share, scratch.path(), table)?;
        let mut guests = Vec::new();
        for number in 0..self.guests {
            let mut guest = self.guest(number, &plan, scratch.path(), &logs)?;
            guest.launch(&plan, &logs)?;
            guests.push(guest);
        }
        for guest in &mut guests {
            guest.wait_until_mounted(&plan)?;
        }
        let directories = [Some(scratch), tables, own_share].into_iter().flatten().collect();
        Ok(Lab { guests, share, logs, plan, moves: 0, directories })
    }

    fn shared_directory(&self) -> Result<(PathBuf, Option<Scratch>)> {
        if let Some(share) = &self.share {
            let problem = || format!("cannot share {}", share.display());
            let share = share.canonicalize().with_context(problem)?;
            ensure!(share.is_dir(), "cannot share {}: it is no directory", share.display());
            return Ok((share, None));
        }
        let own = Scratch::new_in(&paths::rig().join("shares"))?;
        // Not only root may use the share.
        fs::set_permissions(own.path(), Permissions::from_mode(0o755))?;
        chown(own.path(), self.user, self.user)?;
        Ok((own.path().to_path_buf(), Some(own)))
    }

    fn log_directory(&self) -> Result<PathBuf> {
        let logs = self.logs.clone().unwrap_or_else(|| {
            let name = thread::current().name().unwrap_or("unnamed").replace("::", "/");
            paths::logs().join(name)
        });
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(logs)
    }

    fn plan(&self, share: &Path, scratch: &Path, table: Option<Table>) -> Result<Plan> {
        let qemu = Qemu::obtain()?;
        let kernel = Kernel::obtain(&self.kernel)?;
        let program = self.chosen_program()?;
        let driver = if self.coherent { Some(self.driver(&program)?) } else { None };
        let shared_memory = scratch.join("shared-memory");
        if let Some(size) = self.shared_memory {
            File::create(&shared_memory)?.set_len(size)?;
        }
        let path = scratch.join("initramfs");
        let contents = initramfs::Contents {
            kernel: &kernel,
            agent: &cargo::guest_agent()?,
            busybox: &tools::busybox()?,
            driver: driver.as_deref(),
            programs: &self.programs,
        };
        initramfs::write(&contents, &path)?;
        let machine = Machine {
            kernel: kernel.image,
            initramfs: path,
            kernel_words: self.kernel_words.clone(),
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            shares: self.more_shares.clone(),
            regions: Vec::new(),
            qemu_arguments: self.qemu_arguments.clone(),
        };
        let accel = Accel::choose(&qemu, &machine)?;
        let daemon = Spec {
            program,
            share: share.to_path_buf(),
            tag: SHARE_TAG.into(),
            cache: self.cache.clone(),
            arguments: self.daemon_arguments.clone(),
            table,
            environment: self.environment.clone(),
            user: self.user,
            echo: self.echo_daemon,
        };
        let boot_limit = Duration::from_mins(3);
        let (mount_options, command_limit) = (self.mount_options.clone(), self.command_limit);
        let shared_memory = self.shared_memory.map(|_| shared_memory);
        Ok(Plan {
            qemu,
            accel,
            machine,
            daemon,
            shared_memory,
            mount_options,
            boot_limit,
            command_limit,
        })
    }

    /// The share's version table.
    fn version_table(&self, tables: &Path, share: &Path) -> Result<Table> {
        match &self.table {
            Some(table) => Ok(table.clone()),
            None if self.auto_table => Table::found(tables, share),
            None => Ok(Table::named(tables.join("table"))),
        }
    }

    /// The driver of coherent guests, for their kernel.
    fn driver(&self, program: &Program) -> Result<PathBuf> {
        if *program == Program::Virtiofsd {
            bail!("virtiofsd knows no version table, so its guests cannot be coherent");
        }
        module::obtain(&self.kernel, self.module_fault.is_some())
    }

    fn chosen_program(&self) -> Result<Program> {
        match (&self.program, env::var_os("SAMEPAGE_DAEMON")) {
            (Some(program), _) => Ok(program.clone()),
            (None, Some(text)) => Program::parse(&text),
            (None, None) => Ok(Program::Samepaged),
        }
    }

    /// A guest with its daemons running, itself not yet launched.
    fn guest(&self, number: usize, plan: &Plan, scratch: &Path, logs: &Path) -> Result<Guest> {
        let start = |name: &str, spec: &Spec| {
            let stem = name.replace(' ', "-");
            let socket = scratch.join(format!("{stem}.sock"));
            Daemon::start(name, spec, &socket, &logs.join(format!("{stem}.log")))
        };
        let mut machine = plan.machine.clone();
        let daemon = start(&format!("daemon {number}"), &plan.daemon)?;
        let coherent = self.coherent && number < self.guests - self.stock_guests;
        let mut attach = |tag: &str, daemon: &Daemon, queues, shared_memory| {
            let socket = daemon.socket().to_path_buf();
            machine.shares.push(Share { tag: tag.into(), socket, queues, shared_memory });
        };
        let has_regions = self.dax || (coherent && self.table_region);
        attach(SHARE_TAG, &daemon, self.queues, has_regions);
        let root_daemon = match self.root {
            Root::Tiny => None,
            Root::Host => {
                let daemon = start(&format!("root daemon {number}"), &root_spec())?;
                attach(ROOT_TAG, &daemon, 1, false);
                machine.kernel_words.push("samepage.root=host".into());
                Some(daemon)
            }
        };
        if let Some(table) = plan.daemon.table.as_ref().filter(|_| coherent) {
            machine.kernel_words.push("samepage.coherent".into());
            if let Some(fault) = &self.module_fault {
                machine.kernel_words.push(format!("samepage.fault={fault}"));
            }
            if !self.table_region {
                machine.regions.push(Region::of(table.path(), false)?);
            }
        }
        if let Some(memory) = &plan.shared_memory {
            machine.regions.push(Region::of(memory, true)?);
        }
        let name = format!("guest {number}");
        let command_limit = plan.command_limit;
        Ok(Guest {
            vm: None,
            daemon,
            _root_daemon: root_daemon,
            machine,
            name,
            command_limit,
            coherent,
        })
    }
}

/// The host's root is served by our own daemon, whatever serves the share.
fn root_spec() -> Spec {
    Spec {
        program: Program::Samepaged,
        share: "/".into(),
        tag: ROOT_TAG.into(),
        cache: Some("always".into()),
        // overlayfs refuses a lower layer with mount points of its own.
        arguments: vec!["--readonly".into(), "--no-announce-submounts".into()],
        table: None,
        environment: Vec::new(),
        user: None,
        echo: false,
    }
}
