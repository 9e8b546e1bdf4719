//! Waiting for a reply: the asker's side of the envelope.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Sent;
use crate::envelope::Envelope;
use crate::error::AskError;
use crate::handler::Failure;
use crate::mailbox::Seat;
use crate::message::Message;
use crate::shared::Shared;
use crate::token::Token;
use crate::waits::Wait;

/// The reply of an accepted ask, to come.
pub(crate) struct Answer<'s, M> {
    shared: &'s Shared,
    seat: Arc<Seat>,
    index: u32,
    wait: Option<Wait>,
    done: bool,
    message: std::marker::PhantomData<fn(M)>,
}

impl<'s, M: Message> Answer<'s, M> {
    pub(crate) fn new(shared: &'s Shared, sent: Sent) -> Self {
        Answer {
            shared,
            seat: sent.seat.expect("an ask knows its receiver"),
            index: sent.index,
            wait: sent.wait,
            done: false,
            message: std::marker::PhantomData,
        }
    }

    /// Waits for the reply until `deadline` has passed.
    pub(crate) async fn within(self, deadline: Duration) -> Result<M::Reply, AskError<M>> {
        let subsystem = self.seat.name.clone();
        let too_late = || {
            Err(AskError::DeadlineExceeded {
                subsystem: subsystem.clone(),
                deadline,
            })
        };
        let shared = self.shared;
        let mut answer = std::pin::pin!(self);
        let mut timer = std::pin::pin!(None);
        let reply = poll_fn(|cx| {
            if let Poll::Ready(reply) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(reply));
            }
            if timer.is_none() {
                // Made only now: many replies come before a timer is worth its while.
                timer.set(Some(sleep(shared, deadline)));
            }
            match timer.as_mut().as_pin_mut() {
                Some(timer) => timer.poll(cx).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await;
        match reply {
            // The receiver found the deadline passed, or we did.
            Some(Err(AskError::DeadlineExceeded { .. })) | None => too_late(),
            Some(reply) => reply,
        }
    }
}

/// A timer that works on every executor: outside the system's threads the keepers drive it.
fn sleep(shared: &Shared, duration: Duration) -> tokio::time::Sleep {
    let _guard = (shared.current() == 0).then(|| shared.keepers.enter());
    tokio::time::sleep(duration)
}

impl<M: Message> Future for Answer<'_, M> {
    type Output = Result<M::Reply, AskError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let pool = &this.shared.pool;
        if !pool.slab.slot(this.index).reply.poll(cx.waker()) {
            return Poll::Pending;
        }
        this.done = true;
        // The host has handed the envelope over.
        let mut envelope = Envelope::new(&pool.slab, Token::mint(this.index));
        let reply = match envelope.take::<M::Reply>() {
            Some(reply) => Ok(reply),
            None => Err(this.error(envelope.take::<Failure>())),
        };
        pool.release_one(envelope);
        Poll::Ready(reply)
    }
}

impl<M> Answer<'_, M> {
    fn error(&self, failure: Option<Failure>) -> AskError<M> {
        let subsystem = self.seat.name.clone();
        match failure {
            Some(Failure::Failed(error)) => AskError::Failed(error),
            Some(Failure::Panicked(message)) => AskError::Panicked { subsystem, message },
            Some(Failure::Expired) => AskError::DeadlineExceeded {
                subsystem,
                deadline: Duration::ZERO,
            },
            Some(Failure::Unhandled) | None => AskError::Unhandled { subsystem },
        }
    }
}

impl<M> Drop for Answer<'_, M> {
    fn drop(&mut self) {
        if let Some(wait) = &self.wait {
            self.shared.waits.end(wait);
        }
        let pool = &self.shared.pool;
        if !self.done && pool.slab.slot(self.index).reply.abandon() {
            // The reply had come; the envelope is ours to return.
            pool.release_one(Envelope::new(&pool.slab, Token::mint(self.index)));
        }
    }
}
