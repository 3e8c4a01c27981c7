//! What runs inside a test guest. The library half is the protocol that both ends speak; the
//! program is the guest's first process, which the rig builds statically linked and packs into
//! the initramfs.

pub mod protocol;
