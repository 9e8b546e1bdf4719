//! A method that blocks its thread, and therefore runs on another one.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;

use super::{AsyncRun, Called, Desk, Handler};
use crate::envelope::{Envelope, Parcel};
use crate::extract::{Delivery, Extract};
use crate::message::{GiveBack, IntoReply, Message};

pub(crate) struct BlockingHandler<F, M, A, R> {
    method: F,
    types: PhantomData<fn(M, A) -> R>,
}

impl<F, M, A, R> BlockingHandler<F, M, A, R> {
    pub(crate) fn new(method: F) -> Self {
        BlockingHandler {
            method,
            types: PhantomData,
        }
    }
}

impl<S, F, M, A, R> Handler<S> for BlockingHandler<F, M, A, R>
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
        desk: &mut Desk<S>,
        envelope: &mut Envelope<'_>,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called {
        let Some((mut state, parcel)) = desk.hand_out::<Parcel<M, A::Packed>>(envelope) else {
            return Called::WrongParcel;
        };
        let kept = R::Later::keep(&parcel.packed);
        let arguments = A::unpack(parcel.packed, delivery);
        let method = self.method.clone();
        let message = parcel.message;
        let away = delivery.surroundings.block(
            delivery,
            Box::new(move || {
                // Caught here: two panics at once abort the process, see `AsyncHandler`.
                let run = AssertUnwindSafe(|| method(&mut state, message, arguments));
                let reply = catch_unwind(run);
                Box::new((state, reply))
            }),
        );
        desk.runner.start(|| AsyncRun::<_, M, A::Packed, R, _> {
            future: async move {
                match away.await.map(|back| back.downcast()) {
                    Some(Ok(back)) => *back,
                    // The threads have been shut down: so is the system about to be.
                    _ => std::future::pending().await,
                }
            },
            kept: Some(kept),
            types: PhantomData,
        });
        desk.poll(cx, Some(envelope))
    }
}
