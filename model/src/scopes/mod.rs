//! The scopes: what is explored by default, and how much further `--long` goes.

mod changes;
mod deaths;
mod events;

use crate::budget::UNLIMITED;
use crate::ident::{Ino, Name};
use crate::scope::Scope;

const A: Name = Name(0);
const B: Name = Name(1);
const C: Name = Name(2);
const DIR: Ino = Ino(0);
const FILE: Ino = Ino(1);
const OTHER: Ino = Ino(2);

/// What is explored every time: together a minute or two, in little memory.
#[must_use]
pub fn default() -> Vec<Scope> {
    vec![
        changes::names(),
        changes::words(),
        changes::mixed(),
        changes::readers(2),
        changes::directories(),
        changes::files(),
        changes::collisions(3),
        changes::folding(),
        changes::wrap(),
        changes::saturation(),
        deaths::frozen(3),
        deaths::frozen_crash(2, 2),
        deaths::frozen_dax(3),
        deaths::crash(1),
        deaths::rows(),
        deaths::reapers(2),
        deaths::hurry(0),
        deaths::sweep(0),
        deaths::restart(1),
        deaths::rebuild(2),
        deaths::dax(1),
        deaths::dax_crash(2),
        events::host(1, 1),
        events::inotify(2, 1),
        events::aba(1),
        events::unheard(1),
        events::echo(2),
        events::promise(1),
        events::deaf(1),
        events::forget(3),
        events::holes(2),
    ]
}

/// Deeper ones, for a night: the same worlds (a `+` in the name) with more changes, deaths or daemons.
#[must_use]
pub fn deeper() -> Vec<Scope> {
    let deeper = [
        changes::readers(UNLIMITED),
        changes::collisions(2),
        changes::trio(),
        deaths::frozen(4),
        deaths::frozen_crash(3, 2),
        deaths::frozen_dax(4),
        deaths::crash(2),
        deaths::hurry(1),
        deaths::sweep(1),
        deaths::restart(2),
        deaths::rebuild(3),
        deaths::dax(2),
        deaths::dax_crash(3),
        events::host(2, 1),
        events::inotify(2, 2),
        events::aba(2),
        events::unheard(2),
        events::echo(3),
        events::promise(2),
        events::deaf(2),
        events::forget(4),
    ];
    deeper.into_iter().map(|s| s.with(|s| s.name.push('+'))).collect()
}

/// The scope of that name, of either depth.
#[must_use]
pub fn find(name: &str) -> Option<Scope> {
    default().into_iter().chain(deeper()).find(|s| s.name == name)
}
