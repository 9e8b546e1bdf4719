//! The verbs: `tell` and `ask` in their variants, for everything that names a receiver.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Asking;
use super::room::{Attempt, Sending, park_on, until_room};
use super::{Failed, Question};
use crate::base::clock::Due;
use crate::base::user_code::Beside;
use crate::route::Patience;
use crate::runtime::shared::Shared;
use crate::thread::{Local, is_serving};
use crate::words::error::{AskError, SendError, Undelivered};
use crate::words::message::Message;

/// What names a receiver of `M`: a path, a handle, a handle with captures.
pub(crate) trait To<M: Message> {
    fn shared(&self) -> &Arc<Shared>;

    /// The receiver's name.
    fn subsystem(&self) -> Arc<str>;

    /// Tries once to send, or leaves the message where it is. A sender that wants a reply gives a question.
    fn send(&self, message: &mut Option<M>, question: Option<&mut Question>) -> Result<(), Failed>;
}

/// The attempts of a tell.
pub(crate) struct Tell<T> {
    to: T,
    /// When its sender gives up waiting for room.
    due: Due,
}

impl<M: Message, T: To<M>> Attempt<M> for Tell<T> {
    fn shared(&self) -> &Arc<Shared> {
        self.to.shared()
    }

    fn due(&mut self) -> Option<Due> {
        Some(self.due)
    }

    #[inline(always)]
    fn attempt(&mut self, message: &mut Option<M>) -> Result<(), Failed> {
        self.to.send(message, None)
    }
}

/// The attempts of an ask.
pub(crate) struct Ask<T> {
    pub(super) to: T,
    pub(super) question: Question,
    /// It waits for room too. Without it, it waits for the reply only.
    waits: bool,
}

impl<M: Message, T: To<M>> Attempt<M> for Ask<T> {
    fn shared(&self) -> &Arc<Shared> {
        self.to.shared()
    }

    fn due(&mut self) -> Option<Due> {
        let shared = self.to.shared();
        let patience = &mut self.question.patience;
        // The waits for room and for the reply share one deadline, which is fixed now.
        let now = shared.clock.now();
        *patience = patience.from(now);
        let due = patience.due(now).min(Local::of(&shared.pool).due());
        self.waits.then_some(due)
    }

    #[inline(always)]
    fn attempt(&mut self, message: &mut Option<M>) -> Result<(), Failed> {
        self.to.send(message, Some(&mut self.question))
    }
}

#[inline]
pub(crate) fn tell<M: Message, T: To<M>>(to: T, message: M) -> Sending<M, Tell<T>> {
    let due = Due::NEVER;
    until_room(message, Tell { to, due })
}

pub(crate) fn tell_within<M: Message, T: To<M>>(
    to: T,
    message: M,
    deadline: Duration,
) -> Sending<M, Tell<T>> {
    let clock = &to.shared().clock;
    let due = Patience::new(clock, Some(deadline), false).due(clock.now());
    until_room(message, Tell { to, due })
}

#[inline]
pub(crate) fn try_tell<M: Message, T: To<M>>(to: T, message: M) -> Result<(), Undelivered<M>> {
    let mut held = Beside(Some(message));
    match to.send(&mut held.0, None) {
        Ok(()) => Ok(()),
        Err(failed) => Err(failed.give_up(to.shared(), held.0.take())),
    }
}

pub(crate) fn tell_blocking<M: Message, T: To<M>>(to: T, message: M) -> Result<(), Undelivered<M>> {
    if is_serving() {
        return try_tell(to, message);
    }
    park_on(tell(to, message))
}

#[inline]
fn ask_with<M: Message, T: To<M>>(
    to: T,
    message: M,
    patience: Patience,
    waits: bool,
) -> Asking<M, T> {
    let question = Question::new(patience);
    let ask = Ask {
        to,
        question,
        waits,
    };
    Asking::new(until_room(message, ask))
}

#[inline]
pub(crate) fn ask<M: Message, T: To<M>>(to: T, message: M) -> Asking<M, T> {
    let patience = to.shared().patience;
    ask_with(to, message, patience, true)
}

pub(crate) fn try_ask<M: Message, T: To<M>>(to: T, message: M) -> Asking<M, T> {
    let patience = to.shared().patience;
    ask_with(to, message, patience, false)
}

pub(crate) fn ask_within<M: Message, T: To<M>>(
    to: T,
    message: M,
    deadline: Duration,
) -> Asking<M, T> {
    let clock = &to.shared().clock;
    let patience = Patience::new(clock, Some(deadline), false).from(clock.now());
    ask_with(to, message, patience, true)
}

pub(crate) fn ask_without_deadline<M: Message, T: To<M>>(to: T, message: M) -> Asking<M, T> {
    let patience = Patience::new(&to.shared().clock, None, false);
    ask_with(to, message, patience, true)
}

pub(crate) fn ask_blocking<M: Message, T: To<M>>(
    to: T,
    message: M,
) -> Result<M::Reply, AskError<M>> {
    if is_serving() {
        let subsystem = to.subsystem();
        let reason = SendError::WouldBlock { subsystem };
        return Err(Undelivered::new(reason, message).into());
    }
    park_on(ask(to, message))
}
