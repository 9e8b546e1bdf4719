//! A method whose reply comes later: it takes a [`Reply`], and with it the envelope.

use std::task::Context;

use super::hooks::HookRun;
use super::method::{AwaitedReplyLater, Method, ReplyLater};
use super::{AtHand, Called, Handler, HandlerSlot, runner};
use crate::base::user_code::Contained;
use crate::envelope::Parcel;
use crate::route::extract::{Delivery, Extract, Reply};
use crate::words::message::Message;

/// What such a method takes: its message with the right to answer it, and its other arguments. The envelope is no
/// longer at hand then. `None` if the envelope holds something else.
///
/// # Panics
/// Where the user's extractors do; the envelope is still at hand then.
#[inline(always)]
pub(super) fn unpack<S, M: Message, A: Extract>(
    slot: &mut HandlerSlot<S>,
    at_hand: &mut AtHand<'_>,
    delivery: &Delivery<'_>,
) -> Option<(M, Reply<M>, A)> {
    slot.state.as_ref()?;
    let deferrals = match &slot.deferrals {
        Some(deferrals) => deferrals.clone(),
        None => {
            let deferrals = delivery.surroundings.deferrals(delivery.receiver)?;
            slot.deferrals.insert(deferrals).clone()
        }
    };
    let (envelope, _) = at_hand.as_mut()?;
    let (message, packed) = envelope.take::<Parcel<M, A::Packed>>()?.into_parts();
    let mut message = Contained::new(message);
    let arguments = A::unpack(packed, delivery);
    let (envelope, started) = at_hand.take()?;
    slot.deferred = Some(envelope.index());
    let reply = Reply::of(deferrals, envelope, started);
    Some((message.take(), reply, arguments))
}

impl<S, F, M, A> Handler<S> for Method<ReplyLater, F, M, A, ()>
where
    F: Fn(&mut S, (M, Reply<M>), A) + Send + Sync,
    M: Message,
    A: Extract,
{
    fn call(
        &self,
        slot: &mut HandlerSlot<S>,
        at_hand: &mut AtHand<'_>,
        delivery: &Delivery<'_>,
        _: &mut Context<'_>,
    ) -> Called {
        let Some((message, reply, arguments)) = unpack::<S, M, A>(slot, at_hand, delivery) else {
            return Called::WrongParcel;
        };
        let Some(state) = slot.state.as_mut() else {
            return Called::WrongParcel;
        };
        // If it panics, the host resets this.
        delivery.in_sync_handler.set(true);
        (self.method)(state, (message, reply), arguments);
        delivery.in_sync_handler.set(false);
        Called::Handled
    }
}

impl<S, F, M, A> Handler<S> for Method<AwaitedReplyLater, F, M, A, ()>
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
        let Some((message, reply, arguments)) = unpack::<S, M, A>(slot, at_hand, delivery) else {
            return Called::WrongParcel;
        };
        let method = self.method.clone();
        let Some(state) = slot.state.take() else {
            return Called::WrongParcel;
        };
        let make = || HookRun {
            future: runner::run(state, method, (message, reply), arguments),
        };
        slot.start(make, cx, None)
    }
}
