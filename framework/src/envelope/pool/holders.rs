//! The subsystems that hold envelopes, and the senders that wait for one. Each subsystem has a queue, so that the
//! subsystems take turns.

use std::sync::Arc;

use super::waiters::Waiters;

/// How many empty queues are kept, so that the next wait allocates nothing.
const SPARES: usize = 16;

/// A subsystem as the pool sees it: the receiver of the messages in envelopes.
pub(crate) trait Holder: std::fmt::Debug + Send + Sync {
    /// Its number, unique in the system.
    fn id(&self) -> HolderId;

    /// How many envelopes it holds: its messages that are accepted and have not ended.
    fn held(&self) -> u64;
}

/// The number of a [`Holder`].
pub(crate) type HolderId = u32;

#[derive(Debug, Default)]
pub(super) struct Queues {
    /// The queues, one for each subsystem that senders wait for, sorted by its number.
    pub(super) list: Vec<HolderQueue>,
    /// The subsystem whose turn is next.
    pub(super) next: HolderId,
    pub(super) spares: Vec<Arc<Waiters>>,
}

/// The senders that wait for an envelope to send to one subsystem.
#[derive(Debug)]
pub(super) struct HolderQueue {
    pub(super) holder: Arc<dyn Holder>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) members: usize,
    /// For how many ticks no sender has been queued here, though some are registered: the last one was woken and
    /// has not tried again yet.
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

    /// A sender stops waiting. If it was the last one for that subsystem, returns the subsystem.
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
