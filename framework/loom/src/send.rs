//! How senders wait for room: the shipped file, with replacements for the modules that it uses.

#[path = "../../src/send/room.rs"]
pub(crate) mod room;

/// No sender of the models has a deadline.
mod timer {
    use std::task::Context;

    use crate::base::clock::Due;
    use crate::runtime::shared::Shared;

    #[derive(Default)]
    pub(super) struct Timer(());

    impl Timer {
        pub(super) fn is_over(&mut self, _: &Shared, _: Due, _: &mut Context<'_>) -> bool {
            false
        }
    }
}

use std::sync::Arc;

use crate::mailbox::{Mailbox, MailboxId};
use crate::runtime::deadlock::{For, Wait};
use crate::runtime::shared::Shared;
use crate::words::error::{Room, SendError, Undelivered};

/// Why an attempt did not succeed.
pub(crate) enum Failed {
    /// There is no room now: which kind, and in which mailbox.
    Full(Room, Arc<Mailbox>),
    Refused(Box<SendError>),
}

impl Failed {
    pub(crate) fn refused(reason: SendError) -> Self {
        Failed::Refused(Box::new(reason))
    }

    /// A sender that waits for room gives up only for another reason.
    pub(crate) fn give_up<M>(self, _shared: &Shared, message: Option<M>) -> Undelivered<M> {
        let Failed::Refused(reason) = self else {
            unreachable!("it waits for room");
        };
        Undelivered {
            reason: *reason,
            message: message.expect("what is refused stays with the sender"),
        }
    }
}

fn begin_wait(shared: &Shared, me: MailboxId, what: For) -> Result<Wait, Failed> {
    shared.waits.begin(me, what).map_err(|cycle| {
        let cycle = format!("{cycle:?}").into();
        Failed::refused(SendError::WaitCycle { cycle })
    })
}
