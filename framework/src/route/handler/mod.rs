//! Handlers: how the host calls a user's method. `mailbox → host → `**`handler`**
//!
//! A handler takes its parcel out of the envelope, calls the method, and writes the reply of an ask back into the same
//! envelope. An async method borrows the subsystem across `.await`. So both go into one future, which gives the
//! subsystem back at its end; it runs in the host's [`Runner`], whose memory is reused. The [`HandlerSlot`] holds what
//! a host has of all this.

pub(crate) mod runner;
pub(crate) mod method;
pub(crate) mod blocking;
pub(crate) mod hooks;
pub(crate) mod deferred;
pub(crate) mod within;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::base::clock::Stamp;
use crate::base::user_code::{Contained, contain, discard};
use crate::envelope::{Envelope, Parcel, Unanswered};
use crate::route::extract::{Deferrals, Delivery, Extract};
use crate::words::message::{GiveBack, IntoReply, Message};
use method::{AtOnce, Awaited, Method};
use runner::{HandlerOutcome, Panic, Run, RunEnd, Runner};

/// How the host calls one method of the user's.
pub(crate) trait Handler<S>: Send + Sync {
    /// Begins to handle the message at hand. The subsystem lies in the slot. An async handler takes it into the
    /// runner; while it is [`Called::Running`], the host polls it there.
    fn call(
        &self,
        slot: &mut HandlerSlot<S>,
        at_hand: &mut AtHand<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called;

    /// How long its method may take, if there is a limit.
    fn within(&self) -> Option<Duration> {
        None
    }
}

/// The message at hand, and when its handler began. A handler whose reply comes later takes it. Otherwise it stays
/// here, so that a panic of its handler does not lose it.
pub(crate) type AtHand<'w> = Option<(Envelope<'w>, Stamp)>;

/// What the handlers of one host work with. The fields that each of them needs stand first.
#[repr(C)]
pub(crate) struct HandlerSlot<S> {
    /// The subsystem. None while an async handler runs, which has it.
    pub(crate) state: Option<Box<S>>,
    pub(crate) runner: Runner<S>,
    /// The error's text of a handler that ended as [`Called::Failed`].
    pub(crate) failure: Box<str>,
    /// The panic's text of a handler that ended as [`Called::Panicked`].
    pub(crate) panic: Option<Panic>,
    /// The number of the envelope that the last handler has taken, to reply later.
    pub(crate) deferred: Option<u32>,
    /// What the subsystem's later replies share. Made for the first of them.
    pub(crate) deferrals: Option<Arc<Deferrals>>,
}

impl<S> HandlerSlot<S> {
    pub(crate) fn new(state: Box<S>) -> Self {
        HandlerSlot {
            state: Some(state),
            runner: Runner::new(),
            failure: Box::default(),
            panic: None,
            deferred: None,
            deferrals: None,
        }
    }

    /// Notes how a handler ended. The text of an error or a panic stays in the slot.
    #[inline(always)]
    fn note(&mut self, outcome: HandlerOutcome) -> Called {
        match outcome {
            HandlerOutcome::Handled => Called::Handled,
            HandlerOutcome::Later => Called::Later,
            HandlerOutcome::CutOff => Called::CutOff,
            HandlerOutcome::Failed(text) => {
                self.failure = text.into_boxed_str();
                Called::Failed
            }
            HandlerOutcome::Panicked(text) => {
                self.panic = Some(text);
                Called::Panicked
            }
        }
    }

    /// Calls a handler or a hook with the slot. A panic of that call is the handler's.
    pub(crate) fn catch(&mut self, f: impl FnOnce(&mut Self) -> Called) -> Called {
        let called = contain(|| f(&mut *self));
        called.unwrap_or_else(|text| self.note(HandlerOutcome::Panicked(text)))
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
        self.note(outcome)
    }
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// The handler returned a reply.
    Handled,
    /// It returned an error, whose text lies in the slot.
    Failed,
    /// It panicked, with a text that lies in the slot. The subsystem is there, but broken.
    Panicked,
    /// It gave the message back for later. The message lies in the envelope again.
    Later,
    /// It was cut off because its time was up. The subsystem is there, as the handler has left it.
    CutOff,
    /// It has not ended: it is in the runner.
    Running,
    /// The envelope does not hold what this handler takes.
    WrongParcel,
}

/// A message and its handler's arguments, as they come out of an envelope.
struct Unpacked<M, A, K> {
    message: Contained<M>,
    arguments: Contained<A>,
    /// A copy of what travels beside the message, with which it is put back if it is for later.
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
/// If an extractor of the user's does. The parcel is dropped then.
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

/// Ends a message with what its method returned. For an asker it writes the reply or the error into the envelope.
/// A message that is for later goes back there.
#[inline]
fn end<M, P, R>(
    envelope: &mut Envelope<'_>,
    reply: R,
    kept: &mut Contained<<R::Later as GiveBack<M, P>>::Kept>,
) -> HandlerOutcome
where
    M: Message,
    P: Send + 'static,
    R: IntoReply<M::Reply>,
    R::Later: GiveBack<M, P>,
{
    let is_ask = envelope.head().is_ask;
    match reply.into_reply() {
        Ok(Ok(reply)) => {
            if is_ask {
                envelope.put(reply);
            } else {
                discard(reply);
            }
            HandlerOutcome::Handled
        }
        Ok(Err(error)) => {
            let mut error = Contained::new(error);
            let text = format!("{:#}", error.get());
            if is_ask {
                envelope.put(Unanswered::Failed(error.take()));
            }
            HandlerOutcome::Failed(text)
        }
        Err(later) => {
            let (message, packed) = later.give_back(kept.take());
            envelope.put(Parcel::new(message, packed));
            HandlerOutcome::Later
        }
    }
}

/// The same for a method that ended elsewhere than on the stack of its call, perhaps with a panic. User code
/// is contained here: it must not unwind through the subsystem.
fn end_contained<M, P, R>(
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
    reply
        .and_then(|reply| contain(|| end::<M, P, R>(envelope, reply, kept)))
        .unwrap_or_else(HandlerOutcome::Panicked)
}

impl<S, F, M, A, R> Handler<S> for Method<AtOnce, F, M, A, R>
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
        // If the method panics, the host resets this.
        delivery.in_sync_handler.set(true);
        let reply = (self.method)(state, message, arguments);
        delivery.in_sync_handler.set(false);
        slot.note(end::<M, A::Packed, R>(envelope, reply, &mut unpacked.kept))
    }
}

/// What a method that does not run on the stack of its call takes along: the subsystem, the method, and the
/// arguments.
type TakenAlong<S, F, M, A, R> = (Box<S>, F, UnpackedFor<M, A, R>);

/// Takes these out of the slot and the envelope. `None` if the subsystem or the parcel is not there.
#[inline(always)]
fn take_along<S, F, M, A, R>(
    slot: &mut HandlerSlot<S>,
    method: &F,
    envelope: &mut Envelope<'_>,
    delivery: &Delivery<'_>,
) -> Option<TakenAlong<S, F, M, A, R>>
where
    F: Clone,
    M: Message,
    A: Extract,
    R: IntoReply<M::Reply>,
    R::Later: GiveBack<M, A::Packed>,
{
    slot.state.as_ref()?;
    let unpacked = unpack::<M, A, R>(envelope, delivery)?;
    let method = method.clone();
    // Last: the extractors and the clone may panic.
    Some((slot.state.take()?, method, unpacked))
}

impl<S, F, M, A, R> Handler<S> for Method<Awaited, F, M, A, R>
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
        let Some((envelope, _)) = at_hand else {
            return Called::WrongParcel;
        };
        let taken = take_along::<S, F, M, A, R>(slot, &self.method, envelope, delivery);
        let Some((state, method, unpacked)) = taken else {
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
        // See `Unpacked`.
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
            let outcome = end_contained::<M, P, R>(envelope, reply, this.kept);
            (Some(state), outcome)
        })
    }
}
