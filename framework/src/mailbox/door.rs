//! The door of a subsystem: its actix mailbox, which receives orders. `registry → `**`door`**` → orders → host`
//!
//! Most subsystems get one order in their life, to end. An actix mailbox takes six allocations and 300 bytes, a
//! third of the cost of starting a subsystem. So it is made with the first order, by the thread that gives it,
//! and is kept here until the host takes it. Promise: an order reaches the host. If there is no host any more, or
//! never will be, the order is dropped with all that it holds.

use std::any::Any;

use actix::WeakRecipient;

use super::orders::Control;
use crate::base::sync::{AtomicU8, Mutex, Ordering, lock};

/// The receiving end of a host's actix mailbox, in a type that only the host knows.
pub(crate) type Orders = Box<dyn Any + Send>;

/// Makes a host's actix mailbox that holds these orders.
pub(crate) type Make = fn(&mut dyn Iterator<Item = Control>) -> (WeakRecipient<Control>, Orders);

/// See the module.
pub(crate) struct Door {
    state: Mutex<DoorState>,
    /// 1 once the mailbox exists. Written under the lock by the thread that makes it; read by the host in every
    /// turn, which so avoids the lock until then.
    is_called: AtomicU8,
}

enum DoorState {
    /// The host has not started yet. These orders wait for it.
    Awaited(Vec<Control>),
    /// The host has started, and no order has come.
    Quiet(Make),
    /// An order has come. The host takes the receiving end at its next turn.
    Called(WeakRecipient<Control>, Option<Orders>),
    /// There will be no host, or it has gone.
    Shut,
}

impl Door {
    pub(crate) fn new() -> Self {
        Door {
            state: Mutex::new(DoorState::Awaited(Vec::new())),
            is_called: AtomicU8::new(0),
        }
    }

    /// The host has started.
    pub(crate) fn open(&self, make: Make) {
        let mut state = lock(&self.state);
        let before = std::mem::replace(&mut *state, DoorState::Quiet(make));
        if let DoorState::Awaited(orders) = before
            && !orders.is_empty()
        {
            self.call(&mut state, make, &mut orders.into_iter());
        }
    }

    /// There will be no host, or it has gone.
    pub(crate) fn shut(&self) {
        let before = std::mem::replace(&mut *lock(&self.state), DoorState::Shut);
        // Outside of the lock: dropping an order that was not taken notifies its sender.
        drop(before);
    }

    /// Gives an order. Returns true if the caller must wake the host's task: it does not know of its actix
    /// mailbox yet.
    pub(crate) fn give(&self, control: Control) -> bool {
        let mut state = lock(&self.state);
        let host = match &mut *state {
            DoorState::Awaited(orders) => {
                orders.push(control);
                return false;
            }
            DoorState::Quiet(make) => {
                let make = *make;
                self.call(&mut state, make, &mut std::iter::once(control));
                return true;
            }
            DoorState::Called(address, _) => address.upgrade(),
            DoorState::Shut => None,
        };
        drop(state);
        if let Some(host) = host {
            host.do_send(control);
        }
        false
    }

    fn call(&self, state: &mut DoorState, make: Make, orders: &mut dyn Iterator<Item = Control>) {
        let (address, orders) = make(orders);
        *state = DoorState::Called(address, Some(orders));
        self.is_called.store(1, Ordering::Release);
    }

    /// Returns the receiving end, once, after the first order has come. The host must leave its waker before it
    /// calls this, so that a thread that gives the first order later finds the waker.
    pub(crate) fn orders(&self) -> Option<Orders> {
        if self.is_called.load(Ordering::Acquire) == 0 {
            return None;
        }
        match &mut *lock(&self.state) {
            DoorState::Called(_, orders) => orders.take(),
            _ => None,
        }
    }
}
