//! Handlers: how the host calls a user's method. `mailbox → host → `**`handler`**
//!
//! A handler takes its parcel out of the envelope, calls the method, and writes the reply back into the
//! same envelope if someone asked. An async method borrows the subsystem across `.await`; so both go into the
//! host's one [`Runner`], whose memory is reused, in a future that gives the subsystem back at its end. What a host has of all this lies on its one [`HandlerSlot`].

pub(crate) mod runner;
pub(crate) mod blocking;
pub(crate) mod deferred;
pub(crate) mod hooks;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::base::clock::Stamp;
use crate::base::user_code::{Contained, contain, discard};
use crate::envelope::{Envelope, Parcel};
use crate::route::extract::{Deferrals, Delivery, Extract};
use crate::words::message::{GiveBack, IntoReply, Message};
use runner::{HandlerOutcome, Panic, Run, RunEnd, Runner};

/// One route's way to the user's method.
pub(crate) trait Handler<S>: Send + Sync {
    /// Begins the message at hand. The subsystem lies in the slot; an async handler takes it
    /// along into the runner, and if it does not come to its end at once it is to be polled there.
    fn call(
        &self,
        slot: &mut HandlerSlot<S>,
        at_hand: &mut AtHand<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called;
}

/// The message at hand, and when its handler began. A handler whose reply comes later takes it; else it stays
/// here, so that it is not lost when its handler panics.
pub(crate) type AtHand<'w> = Option<(Envelope<'w>, Stamp)>;

/// What the handlers of one host work with; what each of them needs stands first.
#[repr(C)]
pub(crate) struct HandlerSlot<S> {
    /// The subsystem; an async handler has it while it runs.
    pub(crate) state: Option<Box<S>>,
    pub(crate) runner: Runner<S>,
    /// What a handler that ended as [`Called::Failed`] said.
    pub(crate) failure: String,
    /// What one that ended as [`Called::Panicked`] left.
    pub(crate) panic: Option<Panic>,
    /// The envelope that the handler just called has taken.
    pub(crate) deferred: Option<u32>,
    /// Made with the first of those.
    pub(crate) deferrals: Option<Arc<Deferrals>>,
}

impl<S> HandlerSlot<S> {
    pub(crate) fn new(state: Box<S>) -> Self {
        HandlerSlot {
            state: Some(state),
            runner: Runner::new(),
            failure: String::new(),
            panic: None,
            deferred: None,
            deferrals: None,
        }
    }

    /// Leaves what a handler says that fails.
    fn fail(&mut self, text: String) -> Called {
        self.failure = text;
        Called::Failed
    }

    /// Does something with the slot; if that panics, what is left of it lies there too.
    pub(crate) fn catch(&mut self, f: impl FnOnce(&mut Self) -> Called) -> Called {
        match contain(|| f(&mut *self)) {
            Ok(called) => called,
            Err(panic) => {
                self.panic = Some(panic);
                Called::Panicked
            }
        }
    }

    /// Begins a handler in the runner.
    #[inline(always)]
    fn start<R: Run<S> + 'static>(
        &mut self,
        make: impl FnOnce() -> R,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Called {
        let polled = self.runner.start(make, cx, envelope);
        self.settle(polled)
    }

    /// Polls the handler in the runner.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Called {
        let polled = self.runner.poll(cx, envelope);
        self.settle(polled)
    }

    #[inline(always)]
    fn settle(&mut self, polled: Poll<RunEnd<S>>) -> Called {
        let Poll::Ready((state, outcome)) = polled else {
            return Called::Running;
        };
        self.state = state;
        match outcome {
            HandlerOutcome::Handled => Called::Handled,
            HandlerOutcome::Later => Called::Later,
            HandlerOutcome::Failed(text) => self.fail(text),
            HandlerOutcome::Panicked(panic) => {
                self.panic = Some(panic);
                Called::Panicked
            }
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// The handler has ended well.
    Handled,
    /// It returned an error, whose text lies in the slot.
    Failed,
    /// It panicked, and what it left lies in the slot; the subsystem is there, but broken.
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
    /// Its handler took its reply, and dropped it.
    NoReply,
}

/// How a method has ended.
enum End<L> {
    Handled,
    /// With an error of this text.
    Failed(String),
    /// It gave the message back.
    Later(L),
}

/// A message and its handler's arguments, as they come out of an envelope.
struct Unpacked<M, A, K> {
    message: Contained<M>,
    arguments: Contained<A>,
    /// What the message is given back with if it is for later.
    kept: Contained<K>,
}

/// What the handlers of a route take out of its parcels.
type UnpackedFor<M, A, R> = Unpacked<
    M,
    A,
    <<R as IntoReply<<M as Message>::Reply>>::Later as GiveBack<M, <A as Extract>::Packed>>::Kept,
>;

/// Takes a parcel out of an envelope and unpacks it; `None` if the envelope holds something else.
///
/// # Panics
/// Where the user's extractors do; the parcel is gone then.
#[inline(always)]
fn unpack<M, A, R>(
    envelope: &mut Envelope<'_>,
    delivery: &Delivery<'_>,
) -> Option<UnpackedFor<M, A, R>>
where
    M: Message,
    A: Extract,
    R: IntoReply<M::Reply>,
    R::Later: GiveBack<M, A::Packed>,
{
    let (message, packed) = envelope.take::<Parcel<M, A::Packed>>()?.into_parts();
    let message = Contained::new(message);
    let mut packed = Contained::new(packed);
    let kept = Contained::new(R::Later::keep(packed.get()));
    let arguments = Contained::new(A::unpack(packed.take(), delivery));
    Some(Unpacked {
        message,
        arguments,
        kept,
    })
}

/// Writes the reply, or the error, for anyone who asked.
#[inline]
fn end<M: Message, R: IntoReply<M::Reply>>(envelope: &mut Envelope<'_>, reply: R) -> End<R::Later> {
    let is_ask = envelope.head().is_ask;
    match reply.into_reply() {
        Ok(Ok(reply)) => {
            if is_ask {
                envelope.put(reply);
            } else {
                discard(reply);
            }
            End::Handled
        }
        Ok(Err(error)) => {
            let mut error = Contained::new(error);
            let text = format!("{:#}", error.get());
            if is_ask {
                envelope.put(Unanswered::Failed(error.take()));
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
    envelope.put(Parcel::new(message, packed));
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
        slot: &mut HandlerSlot<S>,
        at_hand: &mut AtHand<'_>,
        delivery: &Delivery<'_>,
        _: &mut Context<'_>,
    ) -> Called {
        let (Some(state), Some((envelope, _))) = (slot.state.as_mut(), at_hand) else {
            return Called::WrongParcel;
        };
        let Some(mut unpacked) = unpack::<M, A, R>(envelope, delivery) else {
            return Called::WrongParcel;
        };
        let (message, arguments) = (unpacked.message.take(), unpacked.arguments.take());
        // If it panics, the host resets this.
        delivery.in_sync_handler.set(true);
        let reply = (self.method)(state, message, arguments);
        delivery.in_sync_handler.set(false);
        match end::<M, R>(envelope, reply) {
            End::Handled => Called::Handled,
            End::Failed(text) => slot.fail(text),
            End::Later(later) => {
                put_back(envelope, later, unpacked.kept.take());
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
        slot: &mut HandlerSlot<S>,
        at_hand: &mut AtHand<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called {
        let (Some(_), Some((envelope, _))) = (slot.state.as_ref(), at_hand) else {
            return Called::WrongParcel;
        };
        let Some(unpacked) = unpack::<M, A, R>(envelope, delivery) else {
            return Called::WrongParcel;
        };
        let method = self.method.clone();
        // Not before: the extractors may panic.
        let Some(state) = slot.state.take() else {
            return Called::WrongParcel;
        };
        let Unpacked {
            mut message,
            mut arguments,
            kept,
        } = unpacked;
        let make = || AsyncRun::<_, M, A::Packed, R, _> {
            future: runner::run(state, method, message.take(), arguments.take()),
            kept,
            types: PhantomData,
        };
        slot.start(make, cx, Some(envelope))
    }
}

pin_project_lite::pin_project! {
    struct AsyncRun<F, M, P, R, K> {
        #[pin]
        future: F,
        // What the message is given back with.
        kept: Contained<K>,
        types: PhantomData<fn(M, P) -> R>,
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
    ) -> Poll<RunEnd<S>> {
        let this = self.project();
        this.future.poll(cx).map(|(state, reply)| {
            let envelope = envelope.expect("a message is polled with its envelope");
            let outcome = outcome_of::<M, P, R>(envelope, reply, this.kept);
            (Some(state), outcome)
        })
    }
}

/// Ends a message whose method has come to its end elsewhere than on the stack of its call. What of that is
/// the user's code is contained here: it must not unwind through the subsystem.
fn outcome_of<M, P, R>(
    envelope: &mut Envelope<'_>,
    reply: Result<R, Panic>,
    kept: &mut Contained<<R::Later as GiveBack<M, P>>::Kept>,
) -> HandlerOutcome
where
    M: Message,
    P: Send + 'static,
    R: IntoReply<M::Reply>,
    R::Later: GiveBack<M, P>,
{
    match reply.and_then(|reply| contain(|| end::<M, R>(envelope, reply))) {
        Ok(End::Handled) => HandlerOutcome::Handled,
        Ok(End::Failed(text)) => HandlerOutcome::Failed(text),
        Ok(End::Later(later)) => {
            put_back(envelope, later, kept.take());
            HandlerOutcome::Later
        }
        Err(panic) => HandlerOutcome::Panicked(panic),
    }
}
