//! A method that blocks its thread, and therefore runs on another one.
//!
//! A call that blocks can't be ended from outside. Promise: if the host gives up a blocking call, the subsystem gets
//! its next value only after that call has returned; see `Run::BLOCKS`.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::method::{Method, OffThread};
use super::runner::{HandlerOutcome, Panic, Run, RunEnd};
use super::{AtHand, Called, Handler, HandlerSlot, Unpacked, end_contained, take_along};
use crate::base::user_code::{Contained, contain};
use crate::envelope::Envelope;
use crate::route::extract::{Away, Delivery, Extract};
use crate::words::message::{GiveBack, IntoReply, Message};

impl<S, F, M, A, R> Handler<S> for Method<OffThread, F, M, A, R>
where
    S: Send + 'static,
    F: Fn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    M: Message,
    A: Extract + Send,
    R: IntoReply<M::Reply> + Send + 'static,
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
        // If the threads are gone, all of these are dropped at once, and each drop may panic.
        let mut state = Contained::new(state);
        let Unpacked {
            mut message,
            mut arguments,
            kept,
        } = unpacked;
        let away = delivery.surroundings.block(
            delivery,
            Box::new(move || {
                let reply = contain(|| method(state.get_mut(), message.take(), arguments.take()));
                let reply = reply.map(Contained::new);
                Box::new(Back { state, reply })
            }),
        );
        let make = || BlockingRun::<S, M, A::Packed, R, _> {
            away,
            kept,
            types: PhantomData,
        };
        slot.start(make, cx, Some(envelope))
    }
}

/// What comes back from the other thread. It is dropped there if the host does not wait any more.
struct Back<S, R> {
    state: Contained<Box<S>>,
    reply: Result<Contained<R>, Panic>,
}

/// The types of a blocking method: its subsystem, its message with what travels beside that, its result.
type Types<S, M, P, R> = PhantomData<fn(S, M, P) -> R>;

struct BlockingRun<S, M, P, R, K> {
    away: Away,
    kept: Contained<K>,
    types: Types<S, M, P, R>,
}

// Nothing in it is ever pinned.
impl<S, M, P, R, K> Unpin for BlockingRun<S, M, P, R, K> {}

impl<S, M, P, R> Run<S> for BlockingRun<S, M, P, R, <R::Later as GiveBack<M, P>>::Kept>
where
    S: Send + 'static,
    M: Message,
    P: Send + 'static,
    R: IntoReply<M::Reply> + Send + 'static,
    R::Later: GiveBack<M, P>,
{
    const BLOCKS: bool = true;

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        envelope: Option<&mut Envelope<'_>>,
    ) -> Poll<RunEnd<S>> {
        let this = self.get_mut();
        this.away.as_mut().poll(cx).map(|back| {
            let back = back.and_then(|back| back.downcast::<Back<S, R>>().ok());
            let Some(back) = back else {
                let gone = "there are no threads for blocking handlers";
                return (None, HandlerOutcome::Panicked(gone.into()));
            };
            let Back { mut state, reply } = *back;
            let outcome = match envelope {
                Some(envelope) => {
                    let reply = reply.map(|mut reply| reply.take());
                    end_contained::<M, P, R>(envelope, reply, &mut this.kept)
                }
                // Its message has ended already: the reply is dropped.
                None => HandlerOutcome::Handled,
            };
            (Some(state.take()), outcome)
        })
    }
}
