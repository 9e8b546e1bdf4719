//! The errors of a sender that waits. The shipped errors say more, to users.

/// The kind of room that was missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Pool,
    Mailbox,
    Start,
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendError {
    Closed,
    WaitCycle { cycle: Box<str> },
}

/// A message that was not accepted, and why.
#[derive(Debug)]
pub(crate) struct Undelivered<M> {
    pub(crate) reason: SendError,
    pub(crate) message: M,
}
