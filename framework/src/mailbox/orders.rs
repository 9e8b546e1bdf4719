//! Orders: what comes to a subsystem through its actix mailbox, from the keepers; and what it reports to
//! them.

use std::task::Waker;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::mailbox::MailboxId;
use crate::words::events::EndReason;
use crate::words::supervision::Failure;

/// How far a host is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Refuse new messages, end the accepted ones, then stop.
    Drain,
    /// Stop now; what still waits is undeliverable.
    Abort,
}

/// What the keepers want of a host, or its subsystem's context.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) enum Control {
    /// End.
    End {
        order: Order,
        reason: EndReason,
        /// Told, or dropped, when the host has ended its last message.
        ended: Option<oneshot::Sender<()>>,
    },
    /// Drop the subsystem's value and wait for `Revive`; what waits in the mailbox stays.
    Halt(oneshot::Sender<()>),
    /// Restart the subsystem; told, or dropped, when it is there or has failed again.
    Revive {
        failure: Failure,
        done: oneshot::Sender<()>,
    },
    /// Fail, because of a child.
    Fail(Failure),
    /// Fail, because of one of its tasks, unless the value that had it is gone.
    TaskPanicked {
        /// The restarts before that value.
        life: u32,
        text: Box<str>,
    },
    /// Stop by itself.
    Stop,
    /// Run this beside it on its thread.
    Spawn(BoxFuture<'static, ()>),
    /// Wake this task of its thread.
    Wake(WakeOnDrop),
}

/// Wakes a task when it is dropped: by the host that it is given to, or by anyone who finds that there is none.
pub(crate) struct WakeOnDrop(pub(crate) Waker);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.wake_by_ref();
    }
}

/// What a host reports to the registry.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Report {
    pub(crate) mailbox: MailboxId,
    /// Which mount of that mailbox: one that was mounted there since has nothing to do with it.
    pub(crate) mount: u64,
    pub(crate) what: Reported,
}

#[derive(Debug)]
pub(crate) enum Reported {
    /// It failed, has halted, and others must be restarted with it, after a pause.
    Failed { failure: Failure, after: Duration },
    /// It has ended without being told to.
    Ended(EndReason),
}
