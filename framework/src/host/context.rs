//! The context of a host: actix's own without what no host uses. `orders → `**`context`**` → life, turn`
//!
//! actix's `Context` has room in place for futures that an actor spawns, waits for and cancels, and a
//! mailbox from the start. A host needs none of it: its [`HostTask`] is a future of ours, spawned on the thread's
//! arbiter, that takes the keepers' orders and then gives the subsystem its turns. So nothing is spawned on
//! this context, and `Actor::started`, `stopping` and `stopped` are not called. What stays actix's is the
//! queue of orders with its addresses and envelopes, made when the first order comes: see
//! [`door`](crate::mailbox::door). The guide has the figures, in "Speed".

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::dev::channel::{AddressReceiver, channel};
use actix::dev::{Envelope, EnvelopeProxy, ToEnvelope};
use actix::{Actor, ActorContext, ActorState, Addr, Handler, WeakRecipient};
use futures_util::Stream;
use tokio::sync::oneshot;

use super::Host;
use crate::mailbox::door::Orders;
use crate::mailbox::orders::Control;

/// The orders that wait at a host before actix counts it as full, which no order asks about.
const CAPACITY: usize = 16;

/// See the module. A host is not stopped through it: it ends when its subsystem has.
pub(crate) struct HostContext;

impl ActorContext for HostContext {
    fn stop(&mut self) {}

    fn terminate(&mut self) {}

    fn state(&self) -> ActorState {
        ActorState::Running
    }
}

impl<S: 'static> Actor for Host<S> {
    type Context = HostContext;
}

/// An order in an actix envelope.
struct Ordered(Option<Control>);

impl<S: 'static> ToEnvelope<Host<S>, Control> for HostContext {
    /// No one waits for an order to be taken.
    fn pack(control: Control, _: Option<oneshot::Sender<()>>) -> Envelope<Host<S>> {
        Envelope::with_proxy(Box::new(Ordered(Some(control))))
    }
}

impl<S: 'static> EnvelopeProxy<Host<S>> for Ordered {
    fn handle(&mut self, host: &mut Host<S>, context: &mut HostContext) {
        if let Some(control) = self.0.take() {
            host.handle(control, context);
        }
    }
}

/// A host as its thread's executor has it.
struct HostTask<S: 'static> {
    host: Host<S>,
    /// None before the first order.
    orders: Option<AddressReceiver<Host<S>>>,
}

// With what the executor adds it fills two cache lines, to which tasks are aligned.
const _: () = assert!(size_of::<HostTask<()>>() <= 24);

impl<S: 'static> Future for HostTask<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<()> {
        let HostTask { host, orders } = self.get_mut();
        // First: see `Door::orders`.
        host.meet_task(task.waker());
        if orders.is_none() {
            *orders = host.take_orders();
        }
        if let Some(orders) = orders {
            while let Poll::Ready(Some(mut order)) = Pin::new(&mut *orders).poll_next(task) {
                order.handle(host, &mut HostContext);
            }
        }
        host.poll(task)
    }
}

/// Makes a host's mailbox, with its first orders.
fn mailbox<S: 'static>(
    first: &mut dyn Iterator<Item = Control>,
) -> (WeakRecipient<Control>, Orders) {
    let (address, orders) = channel::<Host<S>>(CAPACITY);
    let address = Addr::new(address);
    first.for_each(|control| address.do_send(control));
    (address.downgrade().recipient(), Box::new(orders))
}

impl<S: 'static> Host<S> {
    /// Starts it on this thread; it takes orders when this returns.
    pub(super) fn launch(self) {
        self.hosted.env.mounted.door.open(mailbox::<S>);
        drop(actix_rt::spawn(HostTask {
            host: self,
            orders: None,
        }));
    }

    fn take_orders(&self) -> Option<AddressReceiver<Self>> {
        let orders = self.hosted.env.mounted.door.orders()?;
        Some(*orders.downcast().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_not_stopped_through_its_context() {
        let mut context = HostContext;
        context.stop();
        context.terminate();
        assert!(context.state().alive());
    }
}
