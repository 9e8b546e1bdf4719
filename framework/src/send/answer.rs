//! Waiting for a reply: the asker's side of the envelope.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Question;
use super::room::Sending;
use super::timer::Timer;
use super::verbs::{Ask, To};
use crate::base::clock::{Due, Stamp};
use crate::base::sim::{self, Point};
use crate::envelope::Envelope;
use crate::envelope::Unanswered;
use crate::envelope::reply::{Claim, ReplySlot};
use crate::route::Patience;
use crate::runtime::shared::Shared;
use crate::thread::Local;
use crate::words::error::AskError;
use crate::words::message::Message;

/// An ask: sends its message, then waits for the reply.
#[must_use = "nothing is asked before it is polled"]
pub(crate) struct Asking<M: Message, T: To<M>> {
    sending: Sending<M, Ask<T>>,
    timer: Timer,
}

// Nothing in it is ever pinned.
impl<M: Message, T: To<M>> Unpin for Asking<M, T> {}

impl<M: Message, T: To<M>> Drop for Asking<M, T> {
    #[inline]
    fn drop(&mut self) {
        if self.sending.attempt().question.claim.is_some() {
            let Ask { to, question, .. } = self.sending.attempt();
            abandon(to.shared(), question);
        }
    }
}

impl<M: Message, T: To<M>> Asking<M, T> {
    #[inline]
    pub(super) fn new(sending: Sending<M, Ask<T>>) -> Self {
        Asking {
            sending,
            timer: Timer::default(),
        }
    }
}

impl<M: Message, T: To<M>> Future for Asking<M, T> {
    type Output = Result<M::Reply, AskError<M>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // A task that asks in a loop must let other tasks run, even if every reply is there at once.
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        if this.sending.attempt().question.claim.is_none() {
            ready!(Pin::new(&mut this.sending).poll(cx))?;
        }
        let Ask { to, question, .. } = this.sending.attempt();
        let Some(index) = question.claim.as_ref().map(Claim::index) else {
            unreachable!("it was accepted");
        };
        let shared = to.shared();
        let slot = &shared.pool.slab.slot(index).reply;
        sim::preempt(Point::Asker);
        if let Some(token) = slot.poll(cx.waker(), &mut question.claim) {
            budget.made_progress();
            let mut envelope = Envelope::new(&shared.pool.slab, token);
            // Reply and failure return separately: one value for both would be moved once more.
            let Some(reply) = envelope.take::<M::Reply>() else {
                let (failure, times) = (envelope.take(), times_of(slot));
                conclude(shared, question, envelope);
                return Poll::Ready(Err(explain(failure, times, to, question.patience)));
            };
            conclude(shared, question, envelope);
            return Poll::Ready(Ok(reply));
        }
        if let Some(wait) = &question.wait
            && wait.is_hopeless(cx.waker())
        {
            let cycle = wait.cycle().unwrap_or_default();
            abandon(shared, question);
            let subsystem = to.subsystem();
            return Poll::Ready(Err(AskError::WaitCycle { subsystem, cycle }));
        }
        let times = times_of(slot);
        if !this.timer.is_over(shared, times.1, cx) {
            return Poll::Pending;
        }
        abandon(shared, question);
        let failure = Some(Unanswered::Expired);
        Poll::Ready(Err(explain(failure, times, to, question.patience)))
    }
}

/// When the ask in a slot was sent, and when it is due. Read only while the envelope is the asker's.
#[inline]
fn times_of(slot: &ReplySlot) -> (Stamp, Due) {
    (Stamp(slot.asked()), Due::from_raw(slot.due()))
}

/// Returns the envelope of a reply to the pool, and ends the wait.
#[inline]
fn conclude(shared: &Shared, question: &mut Question, envelope: Envelope<'_>) {
    shared
        .pool
        .release_one(&Local::of(&shared.pool).lane, envelope);
    question.end_wait(shared);
}

/// The asker gives up: it ends the wait, and gives the envelope back if the reply has come.
#[cold]
fn abandon(shared: &Shared, question: &mut Question) {
    question.end_wait(shared);
    let Some(claim) = question.claim.take() else {
        return;
    };
    let pool = &shared.pool;
    sim::preempt(Point::Asker);
    match pool.slab.slot(claim.index()).reply.abandon(claim) {
        // The reply has come, so the asker returns the envelope.
        Some(token) => {
            let envelope = Envelope::new(&pool.slab, token);
            pool.release_one(&Local::of(pool).lane, envelope);
        }
        // The host returns the envelope: at once if the message has not begun.
        None => {
            if let Some(asked) = shared.directory.by_mailbox(question.mailbox) {
                asked.mailbox.note_expired();
            }
        }
    }
}

#[cold]
fn explain<M: Message, T: To<M>>(
    failure: Option<Unanswered>,
    (asked, due): (Stamp, Due),
    to: &T,
    patience: Patience,
) -> AskError<M> {
    let subsystem = to.subsystem();
    match failure {
        Some(Unanswered::Failed(error)) => AskError::Failed(error),
        Some(Unanswered::Panicked(message)) => AskError::Panicked { subsystem, message },
        Some(Unanswered::Expired) => {
            let deadline = match patience {
                Patience {
                    deadline: Some(deadline),
                    ..
                } if patience.due(asked) == due => deadline,
                // The asking handler's own deadline was shorter.
                _ => {
                    let clock = &to.shared().clock;
                    Duration::from_nanos(clock.between_ns(asked, due.stamp().unwrap_or(asked)))
                }
            };
            AskError::DeadlineExceeded {
                subsystem,
                deadline,
            }
        }
        Some(Unanswered::CutOff(deadline)) => AskError::DeadlineExceeded {
            subsystem,
            deadline,
        },
        Some(Unanswered::Cleared) => AskError::Cleared { subsystem },
        Some(Unanswered::Dropped) => AskError::Dropped { subsystem },
        Some(Unanswered::NoReply) => AskError::NoReply { subsystem },
        Some(Unanswered::Unhandled) | None => AskError::Unhandled { subsystem },
    }
}
