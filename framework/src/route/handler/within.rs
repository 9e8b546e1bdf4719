//! A method that is cut off when its time is up. `turn → `**`within`**` → runner`
//!
//! Promise: the subsystem outlives it. The method's future has borrowed the subsystem and is dropped first, where
//! it awaits; then the subsystem is given back with whatever the method had done to it. There is no timer before
//! the method awaits something, and none for other methods.

use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::runner::{Caught, HandlerOutcome, Panic, Run, RunEnd};
use super::{AtHand, Called, Handler, HandlerSlot, Unpacked, deferred, end_contained, take_along};
use crate::base::clock;
use crate::base::user_code::{Contained, contain};
use crate::envelope::Envelope;
use crate::route::extract::{Delivery, Extract, Reply};
use crate::words::message::{GiveBack, IntoReply, Message};

/// An async method with a time limit.
pub(crate) struct WithinHandler<F, M, A, R> {
    method: F,
    within: Duration,
    types: PhantomData<fn(M, A) -> R>,
}

impl<F, M, A, R> WithinHandler<F, M, A, R> {
    pub(crate) fn new(method: F, within: Duration) -> Self {
        WithinHandler {
            method,
            within,
            types: PhantomData,
        }
    }
}

/// The same for one that takes its reply.
pub(crate) struct WithinDeferredHandler<F, M, A> {
    method: F,
    within: Duration,
    types: PhantomData<fn(M, A)>,
}

impl<F, M, A> WithinDeferredHandler<F, M, A> {
    pub(crate) fn new(method: F, within: Duration) -> Self {
        WithinDeferredHandler {
            method,
            within,
            types: PhantomData,
        }
    }
}

/// Runs a method, and gives the subsystem back with its result, or with none if its time was up before.
async fn run_within<S, M, A, R, F>(
    state: Box<S>,
    method: F,
    message: M,
    arguments: A,
    within: Duration,
) -> (Box<S>, Option<Result<R, Panic>>)
where
    F: AsyncFn(&mut S, M, A) -> R,
{
    let mut state = Contained::new(state);
    let borrowed: &mut S = state.get_mut();
    let until = clock::after(Instant::now(), within);
    let reply = match contain(|| method(borrowed, message, arguments)) {
        Ok(future) => {
            let future = pin!(Some(future));
            // It registers nothing before it is polled.
            let time_is_up = pin!(clock::sleep_until(until));
            let caught = Caught { future };
            Limited { caught, time_is_up }.await
        }
        Err(panic) => Some(Err(panic)),
    };
    (state.take(), reply)
}

/// A future that is dropped when its time is up; so that is none of its results.
struct Limited<'f, F, T> {
    caught: Caught<'f, F>,
    time_is_up: Pin<&'f mut T>,
}

impl<F: Future, T: Future<Output = ()>> Future for Limited<'_, F, T> {
    type Output = Option<Result<F::Output, Panic>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(reply) = Pin::new(&mut this.caught).poll(cx) {
            return Poll::Ready(Some(reply));
        }
        ready!(this.time_is_up.as_mut().poll(cx));
        // The borrower goes before the subsystem is given back, whatever its own drop does.
        let dropped = contain(|| this.caught.future.set(None));
        Poll::Ready(dropped.err().map(Err))
    }
}

impl<S, F, M, A, R> Handler<S> for WithinHandler<F, M, A, R>
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
        let within = self.within;
        let Unpacked {
            mut message,
            mut arguments,
            kept,
        } = unpacked;
        let make = || WithinRun::<_, M, A::Packed, R, _> {
            future: run_within(state, method, message.take(), arguments.take(), within),
            kept,
            types: PhantomData,
        };
        slot.start(make, cx, Some(envelope))
    }

    fn within(&self) -> Option<Duration> {
        Some(self.within)
    }
}

impl<S, F, M, A> Handler<S> for WithinDeferredHandler<F, M, A>
where
    S: 'static,
    F: AsyncFn(&mut S, (M, Reply<M>), A) + Clone + Send + Sync + 'static,
    M: Message,
    A: Extract,
{
    fn call(
        &self,
        slot: &mut HandlerSlot<S>,
        at_hand: &mut AtHand<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called {
        let unpacked = deferred::unpack::<S, M, A>(slot, at_hand, delivery);
        let Some((message, reply, arguments)) = unpacked else {
            return Called::WrongParcel;
        };
        let (method, within) = (self.method.clone(), self.within);
        let Some(state) = slot.state.take() else {
            return Called::WrongParcel;
        };
        let make = || WithinDeferredRun {
            future: run_within(state, method, (message, reply), arguments, within),
        };
        slot.start(make, cx, None)
    }

    fn within(&self) -> Option<Duration> {
        Some(self.within)
    }
}

pin_project_lite::pin_project! {
    struct WithinRun<F, M, P, R, K> {
        #[pin]
        future: F,
        // What the message is given back with.
        kept: Contained<K>,
        types: PhantomData<fn(M, P) -> R>,
    }
}

impl<S, F, M, P, R> Run<S> for WithinRun<F, M, P, R, <R::Later as GiveBack<M, P>>::Kept>
where
    F: Future<Output = (Box<S>, Option<Result<R, Panic>>)>,
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
            let outcome = match reply {
                Some(reply) => end_contained::<M, P, R>(envelope, reply, this.kept),
                None => HandlerOutcome::CutOff,
            };
            (Some(state), outcome)
        })
    }
}

pin_project_lite::pin_project! {
    struct WithinDeferredRun<F> {
        #[pin]
        future: F,
    }
}

impl<S, F> Run<S> for WithinDeferredRun<F>
where
    F: Future<Output = (Box<S>, Option<Result<(), Panic>>)>,
{
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: Option<&mut Envelope<'_>>,
    ) -> Poll<RunEnd<S>> {
        self.project().future.poll(cx).map(|(state, ended)| {
            let outcome = match ended {
                Some(Ok(())) => HandlerOutcome::Handled,
                Some(Err(panic)) => HandlerOutcome::Panicked(panic),
                None => HandlerOutcome::CutOff,
            };
            (Some(state), outcome)
        })
    }
}
