//! A handle for senders to whom nothing can be handed back: timers and streams.

use std::sync::Arc;

use super::Route;
use crate::runtime::shared::Shared;
use crate::send::{self, Failed, Question, To};
use crate::words::error::{AskError, Room, Undelivered};
use crate::words::message::Message;

/// A handle that waits where the mailbox's policy would hand a message back. What the policy drops, it
/// drops here too.
pub(crate) struct PatientRoute<'r, M: Message>(&'r Route<M>);

impl<M: Message> Route<M> {
    /// The same handle, for a sender that can't take a message back.
    pub(crate) fn insisting(&self) -> PatientRoute<'_, M> {
        PatientRoute(self)
    }
}

impl<M: Message> PatientRoute<'_, M> {
    fn wait_if_full(&self, failed: Failed) -> Failed {
        match failed {
            Failed::Refused(reason) if reason.is_full() => {
                Failed::Full(Room::Mailbox, self.0.inner.mailbox.clone())
            }
            other => other,
        }
    }

    /// As [`Route::tell`].
    pub(crate) fn tell(self, message: M) -> impl Future<Output = Result<(), Undelivered<M>>> {
        send::tell(self, message)
    }

    /// Asks, however long the reply takes.
    pub(crate) fn ask_for_ever(
        self,
        message: M,
    ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask_for_ever(self, message)
    }
}

impl<M: Message> To<M> for PatientRoute<'_, M> {
    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    fn subsystem(&self) -> Arc<str> {
        self.0.inner.mailbox.name.clone()
    }

    fn tell(&self, message: &mut Option<M>) -> Result<(), Failed> {
        To::tell(&self.0, message).map_err(|failed| self.wait_if_full(failed))
    }

    fn ask(&self, message: &mut Option<M>, question: &mut Question) -> Result<(), Failed> {
        To::ask(&self.0, message, question).map_err(|failed| self.wait_if_full(failed))
    }
}
