//! Who holds envelopes, and who waits for one to send to whom: a queue for each subsystem, so that they take turns.

use std::sync::Arc;

use super::waiters::Waiters;

/// Memory that is kept for those who wait next: to wait again allocates nothing.
const SPARES: usize = 16;

/// A subsystem, as the pool sees it: whose messages are in envelopes.
pub(crate) trait Holder: std::fmt::Debug + Send + Sync {
    /// Unique in the system.
    fn id(&self) -> HolderId;

    /// Its messages that have been accepted and have not ended: as many envelopes does it hold.
    fn held(&self) -> u64;
}

/// The number of a [`Holder`].
pub(crate) type HolderId = u32;

#[derive(Debug, Default)]
pub(super) struct Queues {
    /// One for each subsystem that senders wait for, by its number.
    pub(super) list: Vec<HolderQueue>,
    /// The first that is looked at next: the subsystems take turns.
    pub(super) next: HolderId,
    pub(super) spares: Vec<Arc<Waiters>>,
}

/// Those who wait for an envelope to send to one subsystem.
#[derive(Debug)]
pub(super) struct HolderQueue {
    pub(super) holder: Arc<dyn Holder>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) members: usize,
    /// How many ticks ago a waiter was woken that has not tried since.
    pub(super) ticks: u32,
}

impl HolderQueue {
    pub(super) fn new(holder: Arc<dyn Holder>, waiters: Arc<Waiters>) -> Self {
        HolderQueue {
            holder,
            waiters,
            members: 0,
            ticks: 0,
        }
    }

    pub(super) fn id(&self) -> HolderId {
        self.holder.id()
    }
}

impl Queues {
    pub(super) fn find(&self, holder: HolderId) -> Result<usize, usize> {
        self.list.binary_search_by_key(&holder, HolderQueue::id)
    }

    /// One waits no longer for that subsystem; if it was the last, the subsystem.
    pub(super) fn leave(&mut self, holder: HolderId) -> Option<Arc<dyn Holder>> {
        let at = self.find(holder).ok()?;
        let queue = &mut self.list[at];
        queue.members -= 1;
        if queue.members > 0 {
            return None;
        }
        let HolderQueue {
            holder, waiters, ..
        } = self.list.remove(at);
        if self.spares.len() < SPARES {
            self.spares.push(waiters);
        }
        Some(holder)
    }
}
