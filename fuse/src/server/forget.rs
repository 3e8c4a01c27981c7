//! Requests without a reply: the guest drops references, or gives up waiting.

use zerocopy::{FromZeros, IntoBytes};

use crate::abi::{BatchForgetIn, ForgetIn, ForgetOne, InHeader, InterruptIn, Opcode};
use crate::decode;
use crate::failure::{Failure, Outcome};
use crate::filesystem::FileSystem;
use crate::ids::NodeId;
use crate::io::RequestReader;

use super::{Server, read};

/// Forgets that are copied out of the guest's memory at a time.
const CHUNK: usize = 64;

impl<F: FileSystem> Server<F> {
    /// Does what is asked where it makes sense; there is nobody to tell where it does not.
    ///
    /// NOTIFY_REPLY answers what is never asked.
    pub(super) fn one_way(
        &self,
        opcode: Opcode,
        header: &InHeader,
        total: usize,
        request: &mut dyn RequestReader,
    ) -> Outcome<usize> {
        if header.len as usize != total {
            return Err(Failure::Malformed);
        }
        match opcode {
            _ if self.session.wire().is_none() => Ok(0),
            Opcode::Forget => self.forget(header, request),
            Opcode::BatchForget => self.batch_forget(request),
            Opcode::Interrupt => self.interrupt(request),
            _ => Ok(0),
        }
    }

    fn forget(&self, header: &InHeader, request: &mut dyn RequestReader) -> Outcome<usize> {
        if request.remaining() != size_of::<ForgetIn>() {
            return Err(Failure::Malformed);
        }
        let mut forget = ForgetIn::new_zeroed();
        read(request, forget.as_mut_bytes())?;
        self.fs.forget(decode::node(header.nodeid)?, forget.nlookup);
        Ok(0)
    }

    fn interrupt(&self, request: &mut dyn RequestReader) -> Outcome<usize> {
        if request.remaining() != size_of::<InterruptIn>() {
            return Err(Failure::Malformed);
        }
        let mut interrupt = InterruptIn::new_zeroed();
        read(request, interrupt.as_mut_bytes())?;
        self.fs.interrupt(interrupt.unique);
        Ok(0)
    }

    fn batch_forget(&self, request: &mut dyn RequestReader) -> Outcome<usize> {
        let room = request.remaining().checked_sub(size_of::<BatchForgetIn>());
        let room = room.ok_or(Failure::Malformed)?;
        let mut batch = BatchForgetIn::new_zeroed();
        read(request, batch.as_mut_bytes())?;
        let mut left = room / size_of::<ForgetOne>();
        let exact = room.is_multiple_of(size_of::<ForgetOne>()) && left == batch.count as usize;
        if !exact || room > self.config.max_write as usize {
            return Err(Failure::Malformed);
        }
        let mut chunk = [ForgetOne::new_zeroed(); CHUNK];
        while left > 0 {
            let ones = &mut chunk[..left.min(CHUNK)];
            read(request, ones.as_mut_bytes())?;
            for one in ones.iter().filter(|one| one.nodeid != 0) {
                self.fs.forget(NodeId(one.nodeid), one.nlookup);
            }
            left -= ones.len();
        }
        Ok(0)
    }
}
