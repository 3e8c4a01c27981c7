//! `-o`: the C virtiofsd's options. libvirt and old scripts still write them; a later one overrides an earlier one.

use super::args::Args;
use super::config::LogLevel;
use super::usage::UsageError;
use super::values::{CacheMode, Negotiation, SandboxMode};

/// Lets what stands behind `-o` count as if it had been written out.
pub(super) fn apply(args: &mut Args) -> Result<(), UsageError> {
    for list in std::mem::take(&mut args.old.compat) {
        for option in options(&list) {
            match option.split_once('=') {
                Some((name, value)) => with_value(args, name, value)?,
                None => flag(args, &option)?,
            }
        }
        args.old.compat.push(list);
    }
    Ok(())
}

/// The options of a list with commas between them. A value's own comma is written twice, as QEMU has it and libvirt writes
/// it.
fn options(list: &str) -> Vec<String> {
    // No argument of a program holds a NUL.
    let list = list.replace(",,", "\0");
    list.split(',').map(|option| option.replace('\0', ",")).collect()
}

fn with_value(args: &mut Args, name: &str, value: &str) -> Result<(), UsageError> {
    let wrong = |values: &str| {
        Err(UsageError::new(format!("-o {name}={value} is unknown; {name} may be {values}")))
    };
    match name {
        "source" => args.shared_dir = Some(value.into()),
        "cache" => match value {
            "auto" => args.guest.cache = CacheMode::Auto,
            "always" => args.guest.cache = CacheMode::Always,
            "none" => args.guest.cache = CacheMode::Never,
            "metadata" => args.guest.cache = CacheMode::Metadata,
            _ => return wrong("auto, always, none or metadata"),
        },
        "loglevel" | "log_level" => match value {
            "debug" => args.daemon.log_level = LogLevel::Debug,
            "info" => args.daemon.log_level = LogLevel::Info,
            "warn" => args.daemon.log_level = LogLevel::Warn,
            "err" => args.daemon.log_level = LogLevel::Error,
            _ => return wrong("debug, info, warn or err"),
        },
        "sandbox" => match value {
            "namespace" => args.daemon.sandbox = SandboxMode::Namespace,
            "chroot" => args.daemon.sandbox = SandboxMode::Chroot,
            "none" => args.daemon.sandbox = SandboxMode::None,
            _ => return wrong("namespace, chroot or none"),
        },
        "xattrmap" => {
            let wrong =
                |why| UsageError::new(format!("-o xattrmap={value}: {why}; see --xattrmap"));
            args.guest.xattrmap = Some(value.parse().map_err(wrong)?);
        }
        "modcaps" => {
            let wrong = |why| UsageError::new(format!("-o modcaps={value}: {why}; see --modcaps"));
            args.daemon.modcaps = Some(value.parse().map_err(wrong)?);
        }
        _ => return Err(unknown(&format!("{name}={value}"))),
    }
    Ok(())
}

fn flag(args: &mut Args, option: &str) -> Result<(), UsageError> {
    let (on, name) = match option.strip_prefix("no_") {
        Some(name) => (false, name),
        None => (true, option),
    };
    let negotiation = if on { Negotiation::Always } else { Negotiation::Never };
    let guest = &mut args.guest;
    match (name, on) {
        ("xattr", _) => guest.xattr = on,
        ("readdirplus", _) => guest.no_readdirplus = !on,
        ("writeback", _) => guest.writeback = on,
        ("allow_direct_io", _) => guest.allow_direct_io = on,
        ("announce_submounts", true) => guest.no_announce_submounts = false,
        ("killpriv_v2", _) => (guest.killpriv_v2, guest.no_killpriv_v2) = (on, !on),
        ("posix_acl", _) => guest.posix_acl = negotiation,
        ("security_label", _) => guest.security_label = negotiation,
        ("posix_lock", _) => (guest.posix_locks, guest.no_posix_locks) = (on, !on),
        ("flock", _) => (guest.flock, guest.no_flock) = (on, !on),
        _ => return Err(unknown(option)),
    }
    Ok(())
}

fn unknown(option: &str) -> UsageError {
    UsageError::new(format!("-o {option} is unknown; write the option out (see samepaged --help)"))
}
