//! Traces: which message led to which.
//!
//! A message that a handler sends has the trace of the message being handled. A message from outside begins a trace.
//! The number costs the sender nothing: it is made of the first message's stamp and envelope when its handler begins.

/// What a message and all that followed from it have in common.
///
/// Unique among the messages of a system that are under way at a time, and practically so beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub(crate) u64);

impl TraceId {
    /// The trace that a message begins: sent at that stamp, in that envelope.
    #[inline]
    pub(crate) fn of_first(sent: u64, envelope: u32) -> Self {
        // Odd, so that it is never 0, which stands for none.
        TraceId(sent.rotate_left(24) ^ (u64::from(envelope) << 1) | 1)
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
