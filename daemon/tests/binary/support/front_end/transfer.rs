//! A guest's state on its way between two daemons.

use std::os::fd::OwnedFd;
use std::path::Path;

use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::{VhostTransferStateDirection, VhostTransferStatePhase};

use super::FrontEnd;

impl FrontEnd {
    /// Connects, as a VMM does for a guest that is still to come: no ring runs.
    pub(crate) fn prepare(socket: &Path, queues: usize) -> Self {
        Self::try_prepare(socket, queues, true).unwrap()
    }

    /// Gives the daemon one end of a pipe for the state.
    pub(crate) fn transfer(
        &self,
        direction: VhostTransferStateDirection,
        pipe: OwnedFd,
    ) -> vhost::Result<()> {
        let phase = VhostTransferStatePhase::STOPPED;
        self.vhost.set_device_state_fd(direction, phase, pipe).map(drop)
    }

    /// Whether that went well, as the daemon says.
    pub(crate) fn has_transferred(&self) -> bool {
        self.vhost.check_device_state().is_ok()
    }
}
