//! What a handle is made of, for those who keep it and must not keep the system.

use std::sync::Arc;

use super::{Resolved, Route};
use crate::route::extract::Capture;
use crate::runtime::shared::Shared;
use crate::send::{Failed, To};
use crate::words::message::Message;
use crate::words::priority::Priority;

/// A handle without its system.
pub(crate) struct HandleParts<M> {
    inner: Arc<Resolved<M>>,
    priority: Priority,
    always_waits: bool,
}

impl<M> HandleParts<M> {
    /// True if both lead to the same route, with the same captures.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (one, two) = (&*self.inner, &*other.inner);
        let is_same_route = Arc::ptr_eq(&one.mailbox, &two.mailbox) && one.pattern == two.pattern;
        is_same_route && one.fixed == two.fixed && one.query == two.query
    }
}

impl<M: Message> Route<M> {
    pub(crate) fn parts(&self) -> HandleParts<M> {
        HandleParts {
            inner: self.inner.clone(),
            priority: self.priority,
            always_waits: self.always_waits,
        }
    }

    pub(crate) fn of_parts(shared: &Arc<Shared>, parts: &HandleParts<M>) -> Self {
        Route {
            shared: shared.clone(),
            inner: parts.inner.clone(),
            priority: parts.priority,
            always_waits: parts.always_waits,
        }
    }

    /// Sends a copy of a message: with the handle's own captures, else with as many of these as it takes.
    pub(crate) fn tell_copy(
        &self,
        captures: &[Capture<'_>],
        copy: &mut Option<M>,
    ) -> Result<(), Failed> {
        let takes = self.inner.captures.min(captures.len());
        match &self.inner.fixed {
            None => self.send_with(&captures[..takes], copy, None),
            Some(_) => To::send(&self, copy, None),
        }
    }
}
