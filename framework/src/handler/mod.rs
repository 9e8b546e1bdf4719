//! Handlers: how the host calls a user's method. `mailbox → host → `**`handler`**
//!
//! A handler takes its parcel out of the envelope, calls the method, and writes the reply back into the
//! same envelope if someone asked. An async method borrows the subsystem across `.await`; so its future
//! owns the boxed subsystem while it runs and gives it back at its end. The future lives in the host's
//! one [`Runner`], whose memory is reused. Both lie on the host's one [`Desk`].

pub(crate) mod hooks;
pub(crate) mod runner;

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt;

use crate::envelope::{Envelope, Parcel};
use crate::extract::{Delivery, Extract};
use crate::message::{IntoReply, Message};
use runner::{Outcome, Panic, Run, Runner};

/// One route's way to the user's method.
pub(crate) trait Handler<S>: Send + Sync {
    /// Begins the message in `envelope`. The subsystem lies on the desk; an async handler takes it
    /// along into the runner, and if it does not come to its end at once it is to be polled there.
    fn call(
        &self,
        desk: &mut Desk<S>,
        envelope: &mut Envelope<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called;
}

/// What the handlers of one host work with.
pub(crate) struct Desk<S> {
    /// The subsystem; an async handler has it while it runs.
    pub(crate) state: Option<Box<S>>,
    pub(crate) runner: Runner<S>,
    /// What a handler that ended as [`Called::Failed`] said.
    pub(crate) failure: String,
    /// What one that ended as [`Called::Panicked`] left.
    pub(crate) panic: Option<Panic>,
}

impl<S> Desk<S> {
    pub(crate) fn new(state: Box<S>) -> Self {
        Desk {
            state: Some(state),
            runner: Runner::new(),
            failure: String::new(),
            panic: None,
        }
    }

    /// Polls the handler in the runner.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Called {
        match self.runner.poll(cx, envelope) {
            Poll::Pending => Called::Running,
            Poll::Ready((state, outcome)) => {
                self.state = Some(state);
                match outcome {
                    Outcome::Handled => Called::Handled,
                    Outcome::Failed(text) => {
                        self.failure = text;
                        Called::Failed
                    }
                    Outcome::Panicked(panic) => {
                        self.panic = Some(panic);
                        Called::Panicked
                    }
                }
            }
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// The handler has ended well.
    Handled,
    /// It returned an error, whose text lies on the desk.
    Failed,
    /// It panicked, and what it left lies on the desk; the subsystem is there, but broken.
    Panicked,
    /// It runs in the runner.
    Running,
    /// The envelope does not hold what this handler takes.
    WrongParcel,
}

/// What an asker finds in its envelope in place of a reply.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Failed(anyhow::Error),
    Panicked(Box<str>),
    Expired,
    Dropped,
    Unhandled,
}

/// Writes the reply, or the error, for whoever asked.
///
/// # Errors
/// The text of the handler's error.
#[inline]
fn end<M: Message>(
    envelope: &mut Envelope<'_>,
    reply: impl IntoReply<M::Reply>,
) -> Result<(), String> {
    let is_ask = envelope.head().is_ask;
    match reply.into_reply() {
        Ok(reply) => {
            if is_ask {
                envelope.put(reply);
            }
            Ok(())
        }
        Err(error) => {
            let text = format!("{error:#}");
            if is_ask {
                envelope.put(Unanswered::Failed(error));
            }
            Err(text)
        }
    }
}

/// A method that answers at once.
pub(crate) struct SyncHandler<F, M, A, R> {
    method: F,
    types: PhantomData<fn(M, A) -> R>,
}

impl<F, M, A, R> SyncHandler<F, M, A, R> {
    pub(crate) fn new(method: F) -> Self {
        SyncHandler {
            method,
            types: PhantomData,
        }
    }
}

impl<S, F, M, A, R> Handler<S> for SyncHandler<F, M, A, R>
where
    F: Fn(&mut S, M, A) -> R + Send + Sync,
    M: Message,
    A: Extract,
    R: IntoReply<M::Reply>,
{
    #[inline]
    fn call(
        &self,
        desk: &mut Desk<S>,
        envelope: &mut Envelope<'_>,
        delivery: &Delivery<'_>,
        _: &mut Context<'_>,
    ) -> Called {
        let Some(state) = desk.state.as_mut() else {
            return Called::WrongParcel;
        };
        let Some(parcel) = envelope.take::<Parcel<M, A::Packed>>() else {
            return Called::WrongParcel;
        };
        let arguments = A::unpack(parcel.packed, delivery);
        let reply = (self.method)(state, parcel.message, arguments);
        match end::<M>(envelope, reply) {
            Ok(()) => Called::Handled,
            Err(text) => {
                desk.failure = text;
                Called::Failed
            }
        }
    }
}

/// A method that may wait.
pub(crate) struct AsyncHandler<F, M, A, R> {
    method: F,
    types: PhantomData<fn(M, A) -> R>,
}

impl<F, M, A, R> AsyncHandler<F, M, A, R> {
    pub(crate) fn new(method: F) -> Self {
        AsyncHandler {
            method,
            types: PhantomData,
        }
    }
}

impl<S, F, M, A, R> Handler<S> for AsyncHandler<F, M, A, R>
where
    S: 'static,
    F: AsyncFn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    M: Message,
    A: Extract,
    R: IntoReply<M::Reply> + 'static,
{
    fn call(
        &self,
        desk: &mut Desk<S>,
        envelope: &mut Envelope<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called {
        let Some(mut state) = desk.state.take() else {
            return Called::WrongParcel;
        };
        let Some(parcel) = envelope.take::<Parcel<M, A::Packed>>() else {
            desk.state = Some(state);
            return Called::WrongParcel;
        };
        let arguments = A::unpack(parcel.packed, delivery);
        let method = self.method.clone();
        desk.runner.start(AsyncRun::<_, M, R> {
            future: async move {
                // Caught here, so that a panic does not unwind through the subsystem: its own drop
                // may panic too, and two panics at once abort the process.
                let running = async { method(&mut state, parcel.message, arguments).await };
                let reply = AssertUnwindSafe(running).catch_unwind().await;
                (state, reply)
            },
            types: PhantomData,
        });
        desk.poll(cx, Some(envelope))
    }
}

pin_project_lite::pin_project! {
    struct AsyncRun<F, M, R> {
        #[pin]
        future: F,
        types: PhantomData<fn(M) -> R>,
    }
}

impl<S, F, M, R> Run<S> for AsyncRun<F, M, R>
where
    F: Future<Output = (Box<S>, Result<R, Panic>)>,
    M: Message,
    R: IntoReply<M::Reply>,
{
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<(Box<S>, Outcome)> {
        self.project().future.poll(cx).map(|(state, reply)| {
            let envelope = envelope.expect("a message is polled with its envelope");
            let ended = reply
                .and_then(|reply| catch_unwind(AssertUnwindSafe(|| end::<M>(envelope, reply))));
            let outcome = match ended {
                Ok(Ok(())) => Outcome::Handled,
                Ok(Err(text)) => Outcome::Failed(text),
                Err(panic) => Outcome::Panicked(panic),
            };
            (state, outcome)
        })
    }
}
