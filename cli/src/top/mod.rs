//! `samepage top`: what the daemons' guests ask for, live.

mod figures;
mod rates;
mod scrape;
mod text;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::arguments::Top;
use crate::{SHORTEST, again};
use figures::Figures;
use rates::Rates;

/// Where the units for systemd let the daemons answer.
const RUN: &str = "/run/samepage";

/// A daemon, and what it said last.
struct Daemon {
    socket: PathBuf,
    last: Option<(Instant, Figures)>,
}

/// Shows the daemons once, or until interrupted.
pub(crate) fn run(top: &Top) -> io::Result<()> {
    let interval = Duration::from_secs_f64(top.interval).max(SHORTEST);
    let mut daemons: Vec<Daemon> = Vec::new();
    meet(&mut daemons, &sockets(top)?);
    look(&mut daemons);
    loop {
        std::thread::sleep(interval);
        meet(&mut daemons, &sockets(top)?);
        let mut rates = look(&mut daemons);
        rates.sort_by(|a, b| b.requests_per_second.total_cmp(&a.requests_per_second));
        show(top, &rates)?;
        if top.once {
            return Ok(());
        }
    }
}

/// The sockets that were named, or those there are.
fn sockets(top: &Top) -> io::Result<Vec<PathBuf>> {
    if !top.sockets.is_empty() {
        return Ok(top.sockets.clone());
    }
    let found = listed(Path::new(RUN))?;
    if found.is_empty() {
        let nothing = format!("no {RUN}/*.stats; name the daemons' --stats-socket");
        return Err(io::Error::other(nothing));
    }
    Ok(found)
}

fn listed(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "stats"));
    paths.sort();
    Ok(paths)
}

/// Daemons come and go.
fn meet(daemons: &mut Vec<Daemon>, sockets: &[PathBuf]) {
    daemons.retain(|daemon| sockets.contains(&daemon.socket));
    for socket in sockets {
        if !daemons.iter().any(|daemon| daemon.socket == *socket) {
            daemons.push(Daemon { socket: socket.clone(), last: None });
        }
    }
}

/// Asks each daemon; tells what happened since the last time.
fn look(daemons: &mut [Daemon]) -> Vec<Rates> {
    daemons.iter_mut().map(Daemon::look).collect()
}

impl Daemon {
    fn look(&mut self) -> Rates {
        let answer = scrape::metrics(&self.socket).map(|page| Figures::parse(&page));
        match answer {
            Ok(figures) => {
                let now = Instant::now();
                let rates = Rates::new(&self.socket, &figures, self.last.as_ref(), now);
                self.last = Some((now, figures));
                rates
            }
            Err(error) => {
                self.last = None;
                Rates::silent(&self.socket, &error)
            }
        }
    }
}

fn show(top: &Top, rates: &[Rates]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if top.json {
        serde_json::to_writer(&mut out, rates)?;
        writeln!(out)?;
        return out.flush();
    }
    let text = text::of(rates, top.kinds);
    if top.once {
        write!(out, "{text}")?;
        return out.flush();
    }
    again(&mut out, &text)
}

#[cfg(test)]
mod tests;
