//! The verbs, for whatever names a receiver: a path, a handle, a handle with captures.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Asking;
use super::room::{Attempt, Sending, park_on, until_room};
use super::{Failed, Question};
use crate::error::Undelivered;
use crate::local::is_serving;
use crate::message::Message;
use crate::route::Patience;
use crate::shared::Shared;

/// What names a receiver of `M`: one attempt to send there, with and without a reply wanted.
pub(crate) trait To<M: Message> {
    fn shared(&self) -> &Arc<Shared>;

    /// The receiver's name.
    fn subsystem(&self) -> Arc<str>;

    /// Sends, or leaves the message where it is.
    fn tell(&self, message: &mut Option<M>) -> Result<(), Failed>;

    /// The same; a reply is wanted.
    fn ask(&self, message: &mut Option<M>, question: &mut Question) -> Result<(), Failed>;
}

/// Tells, as an attempt.
pub(crate) struct Tell<T>(T);

impl<M: Message, T: To<M>> Attempt<M> for Tell<T> {
    fn shared(&self) -> &Arc<Shared> {
        self.0.shared()
    }

    #[inline(always)]
    fn attempt(&mut self, message: &mut Option<M>) -> Result<(), Failed> {
        self.0.tell(message)
    }
}

/// Asks, as an attempt.
pub(crate) struct Ask<T> {
    pub(super) to: T,
    pub(super) question: Question,
}

impl<M: Message, T: To<M>> Attempt<M> for Ask<T> {
    fn shared(&self) -> &Arc<Shared> {
        self.to.shared()
    }

    #[inline(always)]
    fn attempt(&mut self, message: &mut Option<M>) -> Result<(), Failed> {
        self.to.ask(message, &mut self.question)
    }
}

#[inline]
pub(crate) fn tell<M: Message, T: To<M>>(to: T, message: M) -> Sending<M, Tell<T>> {
    until_room(message, Tell(to))
}

#[inline]
pub(crate) fn try_tell<M: Message, T: To<M>>(to: T, message: M) -> Result<(), Undelivered<M>> {
    let mut held = Some(message);
    match to.tell(&mut held) {
        Ok(()) => Ok(()),
        Err(failed) => Err(failed.give_up(to.shared(), held)),
    }
}

pub(crate) fn tell_blocking<M: Message, T: To<M>>(to: T, message: M) -> Result<(), Undelivered<M>> {
    if is_serving() {
        return try_tell(to, message);
    }
    park_on(tell(to, message))
}

#[inline]
pub(crate) fn ask<M: Message, T: To<M>>(to: T, message: M) -> Asking<M, T> {
    let patience = to.shared().patience;
    asking(to, message, patience)
}

#[inline]
fn asking<M: Message, T: To<M>>(to: T, message: M, patience: Patience) -> Asking<M, T> {
    let asked = None;
    let question = Question { patience, asked };
    Asking::new(until_room(message, Ask { to, question }))
}

pub(crate) fn ask_for_ever<M: Message, T: To<M>>(to: T, message: M) -> Asking<M, T> {
    let patience = Patience::new(&to.shared().clock, None, false);
    asking(to, message, patience)
}

pub(crate) fn ask_within<M: Message, T: To<M>>(
    to: T,
    message: M,
    deadline: Duration,
) -> Asking<M, T> {
    let patience = Patience::new(&to.shared().clock, Some(deadline), false);
    asking(to, message, patience)
}
