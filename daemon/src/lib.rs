//! `samepaged`: a vhost-user virtio-fs device daemon that shares one host directory with many VMs.

pub mod transport;
