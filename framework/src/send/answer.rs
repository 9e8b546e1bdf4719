//! Waiting for a reply: the asker's side of the envelope.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Asked;
use super::room::Sending;
use super::verbs::{Ask, To};
use crate::clock::{Due, Stamp};
use crate::envelope::Envelope;
use crate::envelope::reply::ReplySlot;
use crate::error::AskError;
use crate::fate::{self, Point};
use crate::handler::Unanswered;
use crate::local::Local;
use crate::message::Message;
use crate::route::Patience;
use crate::shared::Shared;
use crate::token::Token;

/// An ask: sends its message, then waits for the reply.
#[must_use = "nothing is asked before it is polled"]
pub(crate) struct Asking<M: Message, T: To<M>> {
    sending: Sending<M, Ask<T>>,
    /// Made when the first look finds no reply: many come before a timer is worth its while. Boxed: a
    /// future without it is moved for half the price.
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

// Nothing in it is ever pinned.
impl<M: Message, T: To<M>> Unpin for Asking<M, T> {}

impl<M: Message, T: To<M>> Drop for Asking<M, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(asked) = self.sending.attempt().question.asked.take() {
            abandon(self.sending.shared(), asked);
        }
    }
}

impl<M: Message, T: To<M>> Asking<M, T> {
    #[inline]
    pub(super) fn new(sending: Sending<M, Ask<T>>) -> Self {
        Asking {
            sending,
            timer: None,
        }
    }
}

impl<M: Message, T: To<M>> Future for Asking<M, T> {
    type Output = Result<M::Reply, AskError<M>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Whoever asks in a loop must let others run now and then, though every reply is there at once.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        if this.sending.attempt().question.asked.is_none() {
            ready!(Pin::new(&mut this.sending).poll(cx))?;
        }
        let Ask { to, question } = this.sending.attempt();
        let Some(asked) = &question.asked else {
            unreachable!("it was accepted");
        };
        let shared = to.shared();
        let slot = shared.pool.slab.slot(asked.index);
        fate::preempt(Point::Asker);
        if slot.reply.poll(cx.waker()) {
            budget.made_progress();
            let mut envelope = Envelope::new(&shared.pool.slab, Token::mint(asked.index));
            // Not one result of both kinds: what is put together in one place is moved to the next.
            let Some(reply) = envelope.take::<M::Reply>() else {
                let error = explain(
                    envelope.take(),
                    envelope.reply_slot(),
                    to,
                    question.patience,
                );
                conclude(shared, asked, envelope);
                question.asked = None;
                return Poll::Ready(Err(error));
            };
            conclude(shared, asked, envelope);
            question.asked = None;
            return Poll::Ready(Ok(reply));
        }
        let due = Due::from_raw(slot.reply.due());
        let Some(deadline) = due.stamp() else {
            return Poll::Pending;
        };
        if due.is_rough() {
            // The supervisor reminds us when it is over.
            if !due.is_past(shared.clock.now()) {
                return Poll::Pending;
            }
        } else {
            let timer = this.timer.get_or_insert_with(|| {
                let left_ns = shared.clock.between_ns(shared.clock.now(), deadline);
                Box::pin(sleep(shared, Duration::from_nanos(left_ns)))
            });
            ready!(timer.as_mut().poll(cx));
        }
        let error = explain(
            Some(Unanswered::Expired),
            &slot.reply,
            to,
            question.patience,
        );
        if let Some(asked) = question.asked.take() {
            abandon(shared, asked);
        }
        Poll::Ready(Err(error))
    }
}

/// A timer that works on every executor: outside the system's threads the keepers drive it.
fn sleep(shared: &Shared, duration: Duration) -> tokio::time::Sleep {
    let _guard = (shared.current() == 0).then(|| shared.keepers.enter());
    tokio::time::sleep(duration)
}

/// Returns the envelope that the host has handed over.
#[inline]
fn conclude(shared: &Shared, asked: &Asked, envelope: Envelope<'_>) {
    shared
        .pool
        .release_one(&Local::of(&shared.pool).lane, envelope);
    if let Some(wait) = asked.wait {
        shared.waits.end(wait);
    }
}

/// The asker goes away.
#[cold]
fn abandon(shared: &Shared, asked: Asked) {
    if let Some(wait) = asked.wait {
        shared.waits.end(wait);
    }
    let pool = &shared.pool;
    fate::preempt(Point::Asker);
    if pool.slab.slot(asked.index).reply.abandon() {
        // The reply had come; the envelope is ours to return.
        let envelope = Envelope::new(&pool.slab, Token::mint(asked.index));
        pool.release_one(&Local::of(pool).lane, envelope);
    }
}

#[cold]
fn explain<M: Message, T: To<M>>(
    failure: Option<Unanswered>,
    slot: &ReplySlot,
    to: &T,
    patience: Patience,
) -> AskError<M> {
    let subsystem = to.subsystem();
    match failure {
        Some(Unanswered::Failed(error)) => AskError::Failed(error),
        Some(Unanswered::Panicked(message)) => AskError::Panicked { subsystem, message },
        Some(Unanswered::Expired) => {
            let clock = &to.shared().clock;
            let (asked, due) = (Stamp(slot.asked()), Due::from_raw(slot.due()));
            let deadline = match patience {
                Patience {
                    deadline: Some(deadline),
                    ..
                } if patience.due(asked) == due => deadline,
                // That of the handler which asks was shorter.
                _ => Duration::from_nanos(clock.between_ns(asked, due.stamp().unwrap_or(asked))),
            };
            AskError::DeadlineExceeded {
                subsystem,
                deadline,
            }
        }
        Some(Unanswered::Dropped) => AskError::Dropped { subsystem },
        Some(Unanswered::Unhandled) | None => AskError::Unhandled { subsystem },
    }
}
