//! Options that are known because other programs have them.

use std::path::PathBuf;

use clap::Args as Group;

/// What older virtiofsds took.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Old forms")]
pub(super) struct OldArgs {
    /// The C virtiofsd's options, for instance -o source=DIR,cache=none,xattr
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub(super) compat: Vec<String>,

    /// As --log-level debug
    #[arg(short = 'd')]
    pub(super) debug: bool,

    /// Does nothing: the daemon is always in the foreground
    #[arg(short = 'f')]
    pub(super) foreground: bool,

    /// As --socket-path
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}
