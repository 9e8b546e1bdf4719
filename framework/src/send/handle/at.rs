//! A handle with captures.

use std::sync::Arc;
use std::time::Duration;

use super::Route;
use super::verbs::handle_verbs;
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

impl<M: Message, C: Captures> To<M> for At<'_, M, C> {
    fn shared(&self) -> &Arc<Shared> {
        &self.route.shared
    }

    fn subsystem(&self) -> Arc<str> {
        self.route.inner.mailbox.name.clone()
    }

    #[inline(always)]
    fn send(&self, message: &mut Option<M>, question: Option<&mut Question>) -> Result<(), Failed> {
        self.captures
            .with(|captures| self.route.send_with(captures, message, question))
    }
}

impl<M: Message, C: Captures> At<'_, M, C> {
    handle_verbs!(self: self);
}
