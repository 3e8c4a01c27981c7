//! Mapped memory whose pages may be gone: a file that is cut short leaves SIGBUS to those who have mapped it. A guarded
//! range gets pages of zeroes instead, and whoever touched it is told.

pub(crate) use coherence::sigbus::{Guard, lost_by_this_thread};
