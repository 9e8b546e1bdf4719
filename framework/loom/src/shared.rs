//! The part of a system that a waiting sender uses: the queue for envelopes, and the wait graph.

use std::sync::Arc;

use crate::base::deferred::DeferredWakes;
use crate::envelope::pool::reserve::Reserve;
use crate::envelope::pool::waiters::Waiters;
use crate::mailbox::{Mailbox, MailboxId};
use crate::runtime::deadlock::WaitGraph;
use crate::words::error::SendError;

pub(crate) struct Shared {
    pub(crate) pool: Arc<Pool>,
    pub(crate) waits: Arc<WaitGraph>,
    pub(crate) directory: Directory,
    /// The subsystem whose handler sends; 0 for a sender outside of subsystems.
    me: MailboxId,
}

/// The waiters of a pool. The models keep the envelopes.
pub(crate) struct Pool {
    pub(crate) room: Arc<Waiters>,
    pub(crate) deferred: Arc<DeferredWakes>,
    pub(crate) reserve: Reserve,
}

/// A directory without names.
pub(crate) struct Directory;

impl Shared {
    /// Makes a system whose pool has no reserve.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(0)
    }

    /// Makes a system whose pool has the reserve of a pool of that capacity.
    pub(crate) fn with(capacity: u32) -> Arc<Self> {
        Arc::new(Shared {
            pool: Arc::new(Pool {
                room: Arc::new(Waiters::new()),
                deferred: Arc::default(),
                reserve: Reserve::of(capacity, Arc::default()),
            }),
            waits: Arc::default(),
            directory: Directory,
            me: 0,
        })
    }

    /// Returns the same system, as the handler of `me` sees it.
    pub(crate) fn of(&self, me: MailboxId) -> Arc<Self> {
        Arc::new(Shared {
            pool: self.pool.clone(),
            waits: self.waits.clone(),
            directory: Directory,
            me,
        })
    }

    pub(crate) fn current(&self) -> MailboxId {
        self.me
    }

    pub(crate) fn note_wait(&self) {}

    /// Nothing is mounted on demand in the models.
    pub(crate) fn failed_start(&self, _mailbox: &Arc<Mailbox>) -> Option<SendError> {
        None
    }

    /// Every handler of the models can wait.
    pub(crate) fn must_not_wait(&self) -> bool {
        false
    }
}

impl Pool {
    pub(crate) fn wake_next(&self) {
        self.room.wake(1, &self.deferred);
    }
}

impl Directory {
    pub(crate) fn name_of(&self, _seat: MailboxId) -> Option<Arc<str>> {
        None
    }
}
