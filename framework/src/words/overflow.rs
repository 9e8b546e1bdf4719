//! Overflow: what happens to a message for which a mailbox has no room.

/// What happens to a message for which a subsystem's mailbox has no room, that is when as many messages
/// as its [`capacity`](crate::MountOptions::capacity) are accepted and not ended.
///
/// Dropped messages are counted in the ledger and become [dead letters](crate::observe::DeadLetter). An asker gets an
/// error. A message for which the *pool* has no envelope waits or is refused, under every policy.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Overflow {
    /// Its sender waits for room (`tell`, `ask`), or gets it back (`try_tell`).
    #[default]
    Wait = 0,
    /// Its sender gets it back. A timer or a stream of the subsystem waits instead.
    Reject = 1,
    /// It is dropped; an ask is handed back, as under [`Reject`](Self::Reject).
    DropNewest = 2,
    /// The message that has waited longest is dropped in its place, of the least urgent that wait; the
    /// message itself if none waits, all being in a handler.
    DropOldest = 3,
}

impl Overflow {
    pub(crate) fn from_raw(raw: u8) -> Self {
        match raw {
            1 => Overflow::Reject,
            2 => Overflow::DropNewest,
            3 => Overflow::DropOldest,
            _ => Overflow::Wait,
        }
    }
}
