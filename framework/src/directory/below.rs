//! Those that are mounted below a parent: what the parent's restart has to know of them.

use std::sync::Arc;

use super::life::LifeState;
use super::mounted::Mounted;
use crate::base::sync::Ordering;
use crate::words::error::MountError;

/// The parent of what is about to be mounted. While this is there, its restart concerns the registry: the
/// value that is restarted finds nothing mounted, and may use the names again.
pub(crate) struct Below {
    pub(crate) parent: Arc<Mounted>,
    /// [`LifeCell::halts`](super::life::LifeCell::halts) when it was asked for.
    halts: u32,
}

impl Below {
    pub(crate) fn new(parent: Arc<Mounted>) -> Self {
        // In one order with the life's: see `Mounted::restarts_alone`.
        parent.asked.fetch_add(1, Ordering::SeqCst);
        Below {
            halts: parent.life.halts(),
            parent,
        }
    }

    /// Why the parent takes no children, now or ever; or that it has been restarted since.
    pub(crate) fn refusal(&self) -> Option<MountError> {
        let parent = &self.parent;
        match parent.life.state() {
            LifeState::Up if parent.life.halts() == self.halts => None,
            LifeState::Up | LifeState::Down | LifeState::Halting => Some(parent.restarting()),
            LifeState::Leaving | LifeState::Gone | LifeState::Retired => Some(MountError::Stopped),
        }
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        // Release: see `restarts_alone`.
        self.parent.asked.fetch_sub(1, Ordering::Release);
    }
}

impl Mounted {
    /// Why no child is mounted below it while it is restarted.
    pub(crate) fn restarting(&self) -> MountError {
        let parent = (*self.mailbox.name).into();
        MountError::Restarting { parent }
    }
}
