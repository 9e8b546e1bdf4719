//! The futures that a subsystem has spawned beside its mailbox: how many there are, and how many may run.

use crate::base::sync::{AtomicU32, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};

/// See the module.
pub(crate) struct Spawning {
    /// Those that have not ended, the ones that wait for their turn among them.
    count: AtomicU32,
    turns: Semaphore,
}

impl Spawning {
    /// How many may run unless the mount says.
    pub(crate) const MOST: u32 = 1024;

    pub(crate) fn new(most: u32) -> Self {
        Spawning {
            count: AtomicU32::new(0),
            turns: Semaphore::new((most as usize).min(Semaphore::MAX_PERMITS)),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn enter(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// One has ended; true if it was the last.
    pub(crate) fn leave(&self) -> bool {
        self.count.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Waits until one more may run, which it may until the result is dropped.
    pub(crate) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }
}
