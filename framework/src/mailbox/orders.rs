//! Orders, which the keepers send to a subsystem through its actix mailbox, and the reports that it sends to
//! them.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::mailbox::MailboxId;
use crate::words::events::EndReason;
use crate::words::supervision::Failure;

/// How far a host must go towards its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Handle messages.
    Serve,
    /// Refuse new messages, end the accepted ones, then stop.
    Drain,
    /// Stop now; messages that still wait are undeliverable.
    Abort,
}

/// An order to a host, from the keepers or from its subsystem's context.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) enum Control {
    /// End.
    End {
        order: Order,
        reason: EndReason,
        /// Sent, or dropped, when the host has ended its last message.
        ended: Option<oneshot::Sender<()>>,
    },
    /// Drop the subsystem's value and wait for `Revive`. Messages in the mailbox stay.
    Halt(oneshot::Sender<()>),
    /// Restart the subsystem. `done` is sent, or dropped, when it has started or has failed again.
    Revive {
        failure: Failure,
        done: oneshot::Sender<()>,
    },
    /// Fail, because of a child.
    Fail(Failure),
    /// Fail because of one of its tasks, unless the subsystem's value has been replaced since.
    TaskPanicked {
        /// The number of restarts before the value that had the task.
        life: u32,
        text: Box<str>,
    },
    /// Give up the blocking call that is under way, if one is, and fail.
    GiveUp(Failure),
    /// Restart the subsystem because someone requested it. The host answers when the new value is there; it drops
    /// the sender if the subsystem fails again or ends.
    Restart(oneshot::Sender<()>),
    /// Begin no further message, or go on. The host answers when it does; it drops the sender if it ends.
    Pause {
        pauses: bool,
        done: oneshot::Sender<()>,
    },
    /// End all messages that wait. The host answers how many.
    Clear(oneshot::Sender<u64>),
    /// Fail, because a reply was an error, unless the value that it is to fail is gone.
    ReplyFailed {
        /// The restarts before that value.
        life: u32,
        text: Arc<str>,
    },
    /// Stop, as the subsystem itself requested.
    Stop,
    /// Run this future beside the subsystem on its thread.
    Spawn(BoxFuture<'static, ()>),
    /// Wake this task on the host's thread.
    Wake(WakeOnDrop),
}

/// Wakes a task when it is dropped: by the host, or, if there is no host, by the thread that finds that out.
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
    /// Which mount of that mailbox reports. The registry ignores a report of an earlier mount.
    pub(crate) mount: u64,
    pub(crate) what: Reported,
}

#[derive(Debug)]
pub(crate) enum Reported {
    /// It has failed and halted. The subsystems in its restart scope must be restarted with it, after a pause.
    Failed { failure: Failure, after: Duration },
    /// It has ended without an order to do so.
    Ended(EndReason),
}
