//! Those that are mounted below a parent: what the parent's restart has to know of them.

use std::sync::Arc;

use super::mounted::Mounted;
use crate::base::sync::Ordering;
use crate::words::error::MountError;

/// The parent of what is about to be mounted. While this is there, its restart concerns the registry: the
/// value that is restarted finds nothing mounted, and may use the names again.
pub(crate) struct Below {
    pub(crate) parent: Arc<Mounted>,
    life: u32,
}

impl Below {
    pub(crate) fn new(parent: Arc<Mounted>) -> Self {
        // One order: see `set_down`.
        parent.asked.fetch_add(1, Ordering::SeqCst);
        Below {
            life: parent.life.load(Ordering::Relaxed),
            parent,
        }
    }

    /// Why the parent takes no children, now or ever; or that it has been restarted since.
    pub(crate) fn refusal(&self) -> Option<MountError> {
        let parent = &self.parent;
        if parent.is_leaving() {
            return Some(MountError::Stopped);
        }
        let has_another_life = parent.life.load(Ordering::Relaxed) != self.life;
        (parent.is_restarting() || has_another_life).then(|| parent.restarting())
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        // Release: see `restarts_alone`.
        self.parent.asked.fetch_sub(1, Ordering::Release);
    }
}
