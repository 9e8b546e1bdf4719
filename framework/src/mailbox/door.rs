//! The door of a subsystem: its actix mailbox, where orders go in. `registry → `**`door`**` → orders → host`
//!
//! Most subsystems get one order in their life, to end. An actix mailbox takes six allocations and 300
//! bytes, a third of what starts a subsystem: so it is made with its first order, by anyone who gives that,
//! and lies here until the host comes for it. Promise: an order is given to the host, or dropped, and with
//! it what it holds, when there will be no host or it has gone.

use std::any::Any;

use actix::WeakRecipient;

use super::orders::Control;
use crate::base::sync::{AtomicU8, Mutex, Ordering, lock};

/// Where a host takes its orders from; of a type that it alone knows.
pub(crate) type Orders = Box<dyn Any + Send>;

/// Makes a host's actix mailbox, with orders in it.
pub(crate) type Make = fn(&mut dyn Iterator<Item = Control>) -> (WeakRecipient<Control>, Orders);

/// See the module.
pub(crate) struct Door {
    state: Mutex<DoorState>,
    /// 1 once orders have come: spares the host the lock while none have.
    is_called: AtomicU8,
}

enum DoorState {
    /// The host is not there yet; these wait for it.
    Awaited(Vec<Control>),
    /// It is, and no order has come.
    Quiet(Make),
    /// One has; the host takes its end at its next turn.
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

    /// The host is there.
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
        // Outside of the lock: orders that were not taken end here, and who gave them hears of it.
        drop(before);
    }

    /// Gives an order. True if the host's task must be woken for it: it has no mailbox yet that would.
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

    /// Where the host takes its orders from, once, if any have come. The host has left its waker before:
    /// who gives the first order after this look finds that.
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
