//! Handlers: how the host calls a user's method. `mailbox → host → `**`handler`**
//!
//! A handler takes its parcel out of the envelope, calls the method, and writes the reply back into the
//! same envelope if someone asked. An async method borrows the subsystem across `.await`; so both go into the
//! host's one [`Runner`], whose memory is reused, as a [`Method`](runner::Method) that gives the subsystem
//! back at its end. What a host has of all this lies on its one [`Desk`].

pub(crate) mod blocking;
pub(crate) mod hooks;
pub(crate) mod runner;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::envelope::{Envelope, Parcel};
use crate::extract::{Delivery, Extract};
use crate::message::{GiveBack, IntoReply, Message};
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

/// What the handlers of one host work with; what each of them needs stands first.
#[repr(C)]
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

    /// Takes out the subsystem's value and the parcel, for a handler that runs elsewhere; nothing is taken
    /// from the desk if the envelope holds something else.
    #[inline]
    fn hand_out<P: Send + 'static>(&mut self, envelope: &mut Envelope<'_>) -> Option<(Box<S>, P)> {
        let state = self.state.take()?;
        match envelope.take::<P>() {
            Some(parcel) => Some((state, parcel)),
            None => {
                self.state = Some(state);
                None
            }
        }
    }

    /// Leaves what a handler says that fails.
    fn fail(&mut self, text: String) -> Called {
        self.failure = text;
        Called::Failed
    }

    /// Does something with the desk; if that panics, what is left of it lies there too.
    pub(crate) fn catch(&mut self, f: impl FnOnce(&mut Self) -> Called) -> Called {
        match catch_unwind(AssertUnwindSafe(|| f(&mut *self))) {
            Ok(called) => called,
            Err(panic) => {
                self.panic = Some(panic);
                Called::Panicked
            }
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
                    Outcome::Later => Called::Later,
                    Outcome::Failed(text) => self.fail(text),
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
    /// It gave the message back, which lies in the envelope again.
    Later,
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

/// How a method has ended.
enum End<L> {
    Handled,
    /// With an error of this text.
    Failed(String),
    /// It gave the message back.
    Later(L),
}

/// Writes the reply, or the error, for whoever asked.
#[inline]
fn end<M: Message, R: IntoReply<M::Reply>>(envelope: &mut Envelope<'_>, reply: R) -> End<R::Later> {
    let is_ask = envelope.head().is_ask;
    match reply.into_reply() {
        Ok(Ok(reply)) => {
            if is_ask {
                envelope.put(reply);
            }
            End::Handled
        }
        Ok(Err(error)) => {
            let text = format!("{error:#}");
            if is_ask {
                envelope.put(Unanswered::Failed(error));
            }
            End::Failed(text)
        }
        Err(later) => End::Later(later),
    }
}

/// Puts a message back that is to be handled later.
fn put_back<M, P, L>(envelope: &mut Envelope<'_>, later: L, kept: L::Kept)
where
    M: Message,
    P: Send + 'static,
    L: GiveBack<M, P>,
{
    let (message, packed) = later.give_back(kept);
    envelope.put(Parcel { message, packed });
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
    R::Later: GiveBack<M, A::Packed>,
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
        let kept = R::Later::keep(&parcel.packed);
        let arguments = A::unpack(parcel.packed, delivery);
        // If it panics, the host resets this.
        delivery.in_sync_handler.set(true);
        let reply = (self.method)(state, parcel.message, arguments);
        delivery.in_sync_handler.set(false);
        match end::<M, R>(envelope, reply) {
            End::Handled => Called::Handled,
            End::Failed(text) => desk.fail(text),
            End::Later(later) => {
                put_back(envelope, later, kept);
                Called::Later
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
    R::Later: GiveBack<M, A::Packed>,
{
    fn call(
        &self,
        desk: &mut Desk<S>,
        envelope: &mut Envelope<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called {
        let Some((state, parcel)) = desk.hand_out::<Parcel<M, A::Packed>>(envelope) else {
            return Called::WrongParcel;
        };
        let kept = R::Later::keep(&parcel.packed);
        let arguments = A::unpack(parcel.packed, delivery);
        desk.runner.start(|| AsyncRun::<_, M, A::Packed, R, _> {
            future: runner::begin(state, &self.method, parcel.message, arguments),
            kept: Some(kept),
            types: PhantomData,
        });
        desk.poll(cx, Some(envelope))
    }
}

pin_project_lite::pin_project! {
    pub(super) struct AsyncRun<F, M, P, R, K> {
        #[pin]
        pub(super) future: F,
        // What the message is given back with.
        pub(super) kept: Option<K>,
        pub(super) types: PhantomData<fn(M, P) -> R>,
    }
}

impl<S, F, M, P, R> Run<S> for AsyncRun<F, M, P, R, <R::Later as GiveBack<M, P>>::Kept>
where
    F: Future<Output = (Box<S>, Result<R, Panic>)>,
    M: Message,
    P: Send + 'static,
    R: IntoReply<M::Reply>,
    R::Later: GiveBack<M, P>,
{
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<(Box<S>, Outcome)> {
        let this = self.project();
        this.future.poll(cx).map(|(state, reply)| {
            let envelope = envelope.expect("a message is polled with its envelope");
            let ended = reply
                .and_then(|reply| catch_unwind(AssertUnwindSafe(|| end::<M, R>(envelope, reply))));
            let outcome = match ended {
                Ok(End::Handled) => Outcome::Handled,
                Ok(End::Failed(text)) => Outcome::Failed(text),
                Ok(End::Later(later)) => {
                    let kept = this.kept.take().expect("a future ends once");
                    put_back(envelope, later, kept);
                    Outcome::Later
                }
                Err(panic) => Outcome::Panicked(panic),
            };
            (state, outcome)
        })
    }
}
