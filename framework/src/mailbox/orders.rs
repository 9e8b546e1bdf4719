//! Orders: what comes to a subsystem through its actix mailbox, from the keepers.

use tokio::sync::oneshot;

/// What the keepers want of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Refuse new messages, end the accepted ones, then stop.
    Drain,
    /// Stop now; what still waits is undeliverable.
    Abort,
}

/// An order, sent through the host's actix mailbox.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Control {
    pub(crate) order: Order,
    /// Told, or dropped, when the host has ended its last message.
    pub(crate) ended: Option<oneshot::Sender<()>>,
}
