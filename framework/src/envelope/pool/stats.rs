//! The statistics of the pool, for snapshots.

/// The statistics of the pool since its start.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The most envelopes that there can be.
    pub capacity: u64,
    /// Envelopes ever created, warm-up included; never more than `capacity`.
    pub created: u64,
    /// Envelopes created by the warm-up, before the first message.
    pub warmed: u64,
    /// How often an existing envelope was taken.
    pub reused: u64,
    /// How often an envelope came back.
    pub released: u64,
    /// Envelopes that are free now, including those kept for subsystems that hold few; see
    /// [`Builder::pool`](crate::Builder::pool).
    pub idle: u64,
    /// Envelopes that are not free: with a message that waits, in a handler, or with an unread reply.
    pub in_flight: u64,
    /// The highest number seen in flight. Exact if the pool ran out; otherwise it is sampled when a thread
    /// fetches envelopes, a subsystem empties its mailbox, or a snapshot is taken.
    pub high_water: u64,
    /// Messages that were boxed, because they were too large to lie inside the envelope.
    pub boxed: u64,
    /// Sends that were refused. Their messages were handed back.
    pub refused: u64,
}

impl PoolStats {
    /// The share of acquisitions after the warm-up that found an existing envelope: 0 to 1.
    pub fn reuse_rate(&self) -> f64 {
        ratio(self.reused, self.created - self.warmed + self.reused)
    }

    /// The share of acquired envelopes that have come back: 0 to 1.
    pub fn efficiency(&self) -> f64 {
        ratio(self.released, self.created - self.warmed + self.reused)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}
