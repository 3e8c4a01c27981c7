//! `--migration-*`, which have virtiofsd's names and meanings.

use clap::Args as Group;

use super::usage::UsageError;
use super::values::{MigrationMode, MigrationOnError};
use crate::migration;

/// How a guest is moved to another daemon.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Live migration")]
pub(super) struct MigrationArgs {
    /// How the daemon that has the guest tells where its files are
    ///
    /// No data of files is moved: both daemons must share the same directory, or copies of it. With file-handles it is the
    /// same directory of the same file system, and the daemon that the guest comes to needs this option, too, and
    /// CAP_DAC_READ_SEARCH; also files without a name are found then, while the first daemon runs. See docs/migration.md.
    #[arg(long = "migration-mode", value_enum, value_name = "MODE", default_value_t = MigrationMode::FindPaths)]
    pub(super) mode: MigrationMode,

    /// What becomes of the migration if a file is not found where the guest comes to
    #[arg(long = "migration-on-error", value_enum, value_name = "WHAT", default_value_t = MigrationOnError::Abort)]
    pub(super) on_error: MigrationOnError,

    /// With find-paths: what is found must have the same file handle
    ///
    /// For daemons that share the same directory of the same file system, where others might replace files meanwhile.
    #[arg(long = "migration-verify-handles")]
    pub(super) verify_handles: bool,

    /// Does nothing: paths are always looked for and tried when the guest stands still
    #[arg(long = "migration-confirm-paths")]
    pub(super) confirm_paths: bool,
}

impl MigrationArgs {
    /// What they mean together.
    pub(super) fn options(&self) -> Result<migration::Options, UsageError> {
        let mode = self.mode.into();
        let needless = [
            ("--migration-verify-handles", self.verify_handles),
            ("--migration-confirm-paths", self.confirm_paths),
        ];
        match needless.iter().find(|(_, given)| *given && mode == migration::Mode::Handles) {
            Some((option, _)) => Err(UsageError::new(format!(
                "{option} is about paths; leave it out with --migration-mode file-handles"
            ))),
            None => Ok(migration::Options {
                mode,
                on_error: self.on_error.into(),
                verify_handles: self.verify_handles,
            }),
        }
    }
}
