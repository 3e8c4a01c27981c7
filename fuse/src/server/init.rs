//! INIT: versions and capabilities.

use crate::abi::{InitFlags, InitIn, InitOut, MAJOR, MIN_MINOR, MINOR};
use crate::decode::Fields;
use crate::errno;
use crate::failure::{Failure, Outcome};
use crate::filesystem::{FileSystem, Offer};

use super::reply::Reply;
use super::session::Wire;
use super::{Server, ServerConfig};

/// Page size that `max_pages` counts in.
const PAGE: u32 = 4096;
/// The kernel's own least `max_write`.
const MIN_WRITE: u32 = PAGE;
/// Resolution of file times, in nanoseconds.
const TIME_GRAN: u32 = 1;

/// Granted whenever offered: they change how requests are laid out, and the server reads all of the layouts.
const WIRE: InitFlags = InitFlags::INIT_EXT
    .union(InitFlags::BIG_WRITES)
    .union(InitFlags::MAX_PAGES)
    .union(InitFlags::MAP_ALIGNMENT)
    .union(InitFlags::SETXATTR_EXT);

/// Never granted: they are for file systems on the guest's own `/dev/fuse`.
const REFUSED: InitFlags = InitFlags::SPLICE_WRITE
    .union(InitFlags::SPLICE_MOVE)
    .union(InitFlags::SPLICE_READ)
    .union(InitFlags::INIT_RESERVED)
    .union(InitFlags::PASSTHROUGH)
    .union(InitFlags::HAS_RESEND)
    .union(InitFlags::OVER_IO_URING)
    .union(InitFlags::REQUEST_TIMEOUT);

/// Not granted where there is no DAX window.
const DAX: InitFlags = InitFlags::MAP_ALIGNMENT.union(InitFlags::HAS_INODE_DAX);

impl<F: FileSystem> Server<F> {
    /// INIT. A second one without DESTROY is a guest that was killed and has booted again.
    ///
    /// A guest with a newer major version is told ours and tries again; an older one gets `EPROTO`, and so does one
    /// with a minor version below 27.
    pub(super) fn init(&self, body: &[u8], reply: &mut Reply<'_>) -> Outcome<usize> {
        reply.require(size_of::<InitOut>())?;
        let [major, minor]: [u32; 2] = Fields::new(body).take()?;
        if major > MAJOR {
            return reply.put(&InitOut { major: MAJOR, minor: MINOR, ..InitOut::default() });
        }
        if major < MAJOR || minor < MIN_MINOR {
            return Err(Failure::Errno(errno::EPROTO));
        }
        let request = request(body)?;
        let flags = offered(&request, &self.config);
        let offer = Offer { flags, table_id: request.table_id };
        let mut granted = InitFlags::empty();
        self.session.open(
            || self.fs.destroy(),
            || {
                granted = (self.fs.init(&offer)? | WIRE) & flags;
                Ok::<_, Failure>(Wire::new(minor.min(MINOR), granted))
            },
        )?;
        reply.put(&answer(&request, granted, &self.config))
    }
}

/// The request, in either of its two lengths.
fn request(body: &[u8]) -> Outcome<InitIn> {
    let mut fields = Fields::new(body);
    if body.len() != InitIn::SHORT {
        return fields.take();
    }
    let [major, minor, max_readahead, flags]: [u32; 4] = fields.take()?;
    if InitFlags::from_bits_retain(flags.into()).contains(InitFlags::INIT_EXT) {
        return Err(Failure::Malformed);
    }
    Ok(InitIn { major, minor, max_readahead, flags, ..InitIn::default() })
}

/// What the guest's kernel can do, of all that can be granted here.
fn offered(request: &InitIn, config: &ServerConfig) -> InitFlags {
    let low = InitFlags::from_bits_truncate(request.flags.into());
    let high = if low.contains(InitFlags::INIT_EXT) { request.flags2 } else { 0 };
    let all = low | InitFlags::from_bits_truncate(u64::from(high) << 32);
    let no_window = if config.map_alignment.is_none() { DAX } else { InitFlags::empty() };
    all - REFUSED - no_window
}

fn answer(request: &InitIn, granted: InitFlags, config: &ServerConfig) -> InitOut {
    let max_write = config.max_write.max(MIN_WRITE);
    let max_pages = u16::try_from(max_write.div_ceil(PAGE)).unwrap_or(u16::MAX);
    let max_background = config.max_background;
    InitOut {
        major: MAJOR,
        minor: request.minor.min(MINOR),
        max_readahead: request.max_readahead,
        flags: granted.bits() as u32,
        max_background,
        // The guest begins to slow writers down at three quarters, as Linux does by default.
        congestion_threshold: max_background - max_background / 4,
        max_write,
        time_gran: TIME_GRAN,
        max_pages: if granted.contains(InitFlags::MAX_PAGES) { max_pages } else { 0 },
        map_alignment: config
            .map_alignment
            .filter(|_| granted.contains(InitFlags::MAP_ALIGNMENT))
            .unwrap_or(0),
        flags2: (granted.bits() >> 32) as u32,
        ..InitOut::default()
    }
}
