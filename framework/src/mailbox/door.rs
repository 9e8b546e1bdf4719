//! The door of a subsystem: its actix mailbox, where orders go in. `registry → `**`door`**` → orders → host`
//!
//! Most subsystems get one order in their life, to end. An actix mailbox takes six allocations and 300
//! bytes, a third of what starts a subsystem: so it is made with its first order, by whoever gives that,
//! and lies here until the host comes for it. Promise: an order is given to the host, or dropped, and with
//! it what it holds, when no host is there or the host has gone.

use std::any::Any;

use actix::WeakRecipient;

use super::orders::Control;
use crate::sync::{Mutex, lock};

/// Where a host takes its orders from; of a type that it alone knows.
pub(crate) type Orders = Box<dyn Any + Send>;

/// Makes a host's actix mailbox, with an order in it.
pub(crate) type Make = fn(Control) -> (WeakRecipient<Control>, Orders);

/// See the module.
pub(crate) struct Door(Mutex<State>);

enum State {
    /// No host is there yet, or it has gone.
    Shut,
    /// No order has come.
    Quiet(Make),
    /// One has; the host takes its end at its next turn.
    Called(WeakRecipient<Control>, Option<Orders>),
}

impl Door {
    pub(crate) fn new() -> Self {
        Door(Mutex::new(State::Shut))
    }

    /// A host takes orders from now on.
    pub(crate) fn open(&self, make: Make) {
        *lock(&self.0) = State::Quiet(make);
    }

    /// The host has gone.
    pub(crate) fn shut(&self) {
        let before = std::mem::replace(&mut *lock(&self.0), State::Shut);
        // Outside of the lock: orders that were not taken end here, and who gave them hears of it.
        drop(before);
    }

    /// Gives an order. True if it is the first: then the host's task must be woken, and the mailbox wakes
    /// it later on.
    pub(crate) fn give(&self, control: Control) -> bool {
        let mut state = lock(&self.0);
        let known = match &*state {
            State::Shut => None,
            State::Quiet(make) => {
                let (address, orders) = make(control);
                *state = State::Called(address, Some(orders));
                return true;
            }
            State::Called(address, _) => address.upgrade(),
        };
        drop(state);
        if let Some(host) = known {
            host.do_send(control);
        }
        false
    }

    /// Where the host takes its orders from, once, if any have come.
    pub(crate) fn orders(&self) -> Option<Orders> {
        match &mut *lock(&self.0) {
            State::Called(_, orders) => orders.take(),
            _ => None,
        }
    }
}
