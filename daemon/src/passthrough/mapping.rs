//! SETUPMAPPING and REMOVEMAPPING, passed on to the [`Mapper`].

use std::io;
use std::os::fd::AsFd;

use fuse::filesystem::{Mappings, RemoveMapping, SetupMapping};
use fuse::{Context, Handle, Mapper, Mapping, NodeId, errno};
use rustix::fs::OFlags;

use super::Passthrough;
use super::stat::FileType;

impl Mappings for Passthrough {
    /// The guest maps inodes: its handle says nothing about how it may use the mapping.
    fn setup_mapping(
        &self,
        _: &Context,
        node: NodeId,
        handle: Option<Handle>,
        setup: &SetupMapping,
        mapper: &dyn Mapper,
    ) -> io::Result<()> {
        if setup.writable {
            self.writable()?;
        }
        if let Some(handle) = handle {
            self.handles.file(node, handle)?;
        }
        let inode = self.inode(node)?;
        if inode.file_type != FileType::Regular {
            return Err(errno::error(errno::EINVAL));
        }
        let writable = setup.writable;
        let file =
            match inode.open(if self.config.readonly { OFlags::RDONLY } else { OFlags::RDWR }) {
                // Front ends like a writable descriptor even for a mapping that is not; it is no condition here.
                Err(_) if !writable => inode.open(OFlags::RDONLY)?,
                result => result?,
            };
        mapper.map(&Mapping {
            file: file.as_fd(),
            file_offset: setup.file_offset,
            window_offset: setup.window_offset,
            len: setup.len,
            writable,
            held: None,
        })
    }

    fn remove_mapping(
        &self,
        _: &Context,
        _: NodeId,
        remove: &[RemoveMapping],
        mapper: &dyn Mapper,
    ) -> io::Result<()> {
        remove.iter().try_for_each(|stretch| mapper.unmap(stretch.window_offset, stretch.len))
    }
}
