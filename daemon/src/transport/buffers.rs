//! Guest memory that belongs to one direction of one request.

use std::io;

use fuse::errno;
use smallvec::SmallVec;
use vm_memory::{Bytes, VolatileSlice};

/// Pieces that stay inline: header, body and data of nearly every metadata request.
const INLINE: usize = 8;

/// Most iovecs that one system call takes (`IOV_MAX`).
const IOV_MAX: usize = 1024;

/// iovecs for one `preadv2` or `pwritev2`.
pub(super) type IoVecs = SmallVec<[libc::iovec; 32]>;

/// Stretches of guest memory, in order, read and written as one.
///
/// `'m` is the life of the guest memory's mappings.
#[derive(Debug, Default)]
pub(super) struct Buffers<'m> {
    slices: SmallVec<[VolatileSlice<'m>; INLINE]>,
    len: usize,
}

impl<'m> Buffers<'m> {
    /// Adds a stretch at the end. The caller bounds the sum of all lengths.
    pub(super) fn push(&mut self, slice: VolatileSlice<'m>) {
        self.len += slice.len();
        self.slices.push(slice);
    }

    /// Bytes in all.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The stretches that make up `[at, at + len)`, as far as that exists.
    fn pieces(&self, at: usize, len: usize) -> impl Iterator<Item = VolatileSlice<'m>> {
        let mut skip = at;
        let mut left = len;
        self.slices.iter().filter_map(move |slice| {
            if skip >= slice.len() {
                skip -= slice.len();
                return None;
            }
            let start = std::mem::take(&mut skip);
            let take = left.min(slice.len() - start);
            left -= take;
            // Both numbers were just measured against the slice, so this never errs.
            (take > 0).then(|| slice.subslice(start, take).ok()).flatten()
        })
    }

    /// Copies `[at, at + to.len())` out.
    ///
    /// # Errors
    /// `UnexpectedEof` where that goes beyond the end.
    pub(super) fn copy_out(&self, at: usize, to: &mut [u8]) -> io::Result<()> {
        if to.len() > self.len.saturating_sub(at) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        for piece in self.pieces(at, to.len()) {
            let part = &mut to[done..done + piece.len()];
            piece.read_slice(part, 0).map_err(|_| errno::error(errno::EFAULT))?;
            done += piece.len();
        }
        Ok(())
    }

    /// Copies `from` to `[at, at + from.len())`.
    ///
    /// # Errors
    /// `WriteZero` where that goes beyond the end.
    pub(super) fn copy_in(&self, at: usize, from: &[u8]) -> io::Result<()> {
        if from.len() > self.len.saturating_sub(at) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let mut done = 0;
        for piece in self.pieces(at, from.len()) {
            let part = &from[done..done + piece.len()];
            piece.write_slice(part, 0).map_err(|_| errno::error(errno::EFAULT))?;
            done += piece.len();
        }
        Ok(())
    }

    /// All of them.
    pub(super) fn slices(&self) -> impl Iterator<Item = VolatileSlice<'m>> {
        self.slices.iter().copied()
    }

    /// iovecs over the first stretches of `[at, at + len)`, as many as one system call takes.
    ///
    /// They are addresses only: whoever hands them to the kernel must still hold `self`.
    pub(super) fn iovecs(&self, at: usize, len: usize) -> IoVecs {
        self.pieces(at, len)
            .take(IOV_MAX)
            .map(|piece| libc::iovec {
                iov_base: piece.ptr_guard_mut().as_ptr().cast(),
                iov_len: piece.len(),
            })
            .collect()
    }
}
