//! Request numbers.

/// `enum fuse_opcode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)] // The kernel's names.
pub enum Opcode {
    Lookup = 1,
}
