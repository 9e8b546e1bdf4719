//! A handle with captures.

use std::sync::Arc;
use std::time::Duration;

use super::Route;
use crate::route::extract::Captures;
use crate::runtime::shared::Shared;
use crate::send::{self, Failed, Question, To};
use crate::words::error::{AskError, Undelivered};
use crate::words::message::Message;

/// A route with captures, made by [`Route::at`].
#[must_use = "it sends nothing before `tell`, `try_tell` or `ask`"]
pub struct At<'r, M: Message, C> {
    route: &'r Route<M>,
    captures: C,
}

impl<'r, M: Message, C> At<'r, M, C> {
    pub(super) fn new(route: &'r Route<M>, captures: C) -> Self {
        At { route, captures }
    }
}

/// A handle with captures names its receiver too.
impl<M: Message, C: Captures> To<M> for At<'_, M, C> {
    fn shared(&self) -> &Arc<Shared> {
        &self.route.shared
    }

    fn subsystem(&self) -> Arc<str> {
        self.route.inner.mailbox.name.clone()
    }

    #[inline(always)]
    fn tell(&self, message: &mut Option<M>) -> Result<(), Failed> {
        self.captures
            .with(|captures| self.route.tell_with(captures, message))
    }

    fn ask(&self, message: &mut Option<M>, question: &mut Question) -> Result<(), Failed> {
        (self.captures).with(|captures| self.route.ask_with(captures, message, question))
    }
}

impl<M: Message, C: Captures> At<'_, M, C> {
    /// As [`Route::tell`].
    ///
    /// # Errors
    /// As [`System::tell`](crate::System::tell).
    #[inline]
    pub fn tell(self, message: M) -> impl Future<Output = Result<(), Undelivered<M>>> {
        send::tell(self, message)
    }

    /// As [`Route::try_tell`].
    ///
    /// # Errors
    /// As [`System::try_tell`](crate::System::try_tell).
    #[inline]
    pub fn try_tell(self, message: M) -> Result<(), Undelivered<M>> {
        send::try_tell(self, message)
    }

    /// As [`Route::tell_blocking`].
    ///
    /// # Errors
    /// As [`System::tell_blocking`](crate::System::tell_blocking).
    pub fn tell_blocking(self, message: M) -> Result<(), Undelivered<M>> {
        send::tell_blocking(self, message)
    }

    /// As [`Route::ask`].
    ///
    /// # Errors
    /// As [`System::ask`](crate::System::ask).
    #[inline]
    pub fn ask(self, message: M) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask(self, message)
    }

    /// As [`Route::ask_within`].
    ///
    /// # Errors
    /// As [`System::ask_within`](crate::System::ask_within).
    pub fn ask_within(
        self,
        message: M,
        deadline: Duration,
    ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask_within(self, message, deadline)
    }

    /// Sends a message if there is room now, and waits for the reply.
    ///
    /// # Errors
    /// As [`System::try_ask`](crate::System::try_ask).
    pub fn try_ask(self, message: M) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::try_ask(self, message)
    }

    /// Sends a message and waits for the reply on a thread without an executor.
    ///
    /// # Errors
    /// As [`System::ask_blocking`](crate::System::ask_blocking).
    pub fn ask_blocking(self, message: M) -> Result<M::Reply, AskError<M>> {
        send::ask_blocking(self, message)
    }

    /// Sends a message; waits while there is no room, until `deadline` has passed since this call.
    ///
    /// # Errors
    /// As [`System::tell_within`](crate::System::tell_within).
    pub fn tell_within(
        self,
        message: M,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), Undelivered<M>>> {
        send::tell_within(self, message, deadline)
    }
}
