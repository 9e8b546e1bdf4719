//! Handlers and hooks in cases that a host does not make: another handler's parcel, no subsystem in the slot, no
//! threads for blocking handlers.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::task::{Context, Waker};

use super::hooks::HookCall;
use super::method::{AtOnce, Awaited, Method, OffThread};
use super::{AtHand, Called, Handler, HandlerSlot};
use crate::base::clock::{Clock, Due, Stamp};
use crate::envelope::token::Token;
use crate::envelope::{Envelope, Parcel, Slab};
use crate::route::extract::{Away, Deferrals, Delivery, SenderId, States, Surroundings, Work};
use crate::words::message::Message;

struct Add(u32);

impl Message for Add {
    type Reply = u32;
}

fn add(sum: &mut u32, Add(n): Add, (): ()) -> u32 {
    *sum += n;
    *sum
}

async fn add_later(sum: &mut u32, message: Add, (): ()) -> u32 {
    add(sum, message, ())
}

async fn begin(sum: &mut u32, (): (), (): ()) {
    *sum = 0;
}

/// A system without threads for blocking handlers.
struct Bare {
    states: States,
    clock: Clock,
}

impl Surroundings for Bare {
    fn name_of(&self, _: SenderId) -> Option<Arc<str>> {
        None
    }

    fn states(&self) -> &States {
        &self.states
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn deferrals(&self, _: SenderId) -> Option<Arc<Deferrals>> {
        None
    }

    fn block(&self, _: &Delivery<'_>, _: Work) -> Away {
        Box::pin(std::future::ready(None))
    }
}

/// Calls `f` with what a host would call a handler with.
fn with_host<R>(f: impl FnOnce(&mut AtHand<'_>, &Delivery<'_>, &mut Context<'_>) -> R) -> R {
    let slab = Slab::new(1);
    slab.create(0);
    let bare = Bare {
        states: States::default(),
        clock: Clock::manual().0,
    };
    let delivery = Delivery {
        receiver: 1,
        sender: 0,
        due: Due::NEVER,
        trace: 0,
        started: Stamp(0),
        surroundings: &bare,
        in_sync_handler: &std::cell::Cell::new(false),
    };
    // SAFETY: the slab is this call's own, and this its only token.
    let envelope = Envelope::new(&slab, unsafe { Token::mint(0) });
    let cx = &mut Context::from_waker(Waker::noop());
    f(&mut Some((envelope, Stamp(0))), &delivery, cx)
}

fn envelope<'a, 'w>(at_hand: &'a mut AtHand<'w>) -> &'a mut Envelope<'w> {
    &mut at_hand.as_mut().expect("no such handler takes it").0
}

fn handlers() -> [Box<dyn Handler<u32>>; 3] {
    [
        Box::new(Method::<AtOnce, _, Add, (), u32>::new(add)),
        Box::new(Method::<Awaited, _, Add, (), u32>::new(add_later)),
        Box::new(Method::<OffThread, _, Add, (), u32>::new(add)),
    ]
}

fn parcel(n: u32) -> Parcel<Add, ()> {
    Parcel::new(Add(n), ())
}

#[test]
fn a_handler_takes_nothing_out_of_an_envelope_that_holds_another_s_parcel() {
    for handler in handlers() {
        with_host(|at_hand, delivery, cx| {
            let mut slot = HandlerSlot::new(Box::new(7));
            envelope(at_hand).put("not what it takes");
            let called = handler.call(&mut slot, at_hand, delivery, cx);
            assert_eq!(called, Called::WrongParcel);
            assert_eq!(slot.state.as_deref(), Some(&7));
            assert_eq!(envelope(at_hand).take::<&str>(), Some("not what it takes"));
        });
    }
}

#[test]
fn a_handler_whose_subsystem_is_away_leaves_the_message_where_it_is() {
    for handler in handlers() {
        with_host(|at_hand, delivery, cx| {
            let mut slot = HandlerSlot::new(Box::new(7));
            slot.state = None;
            envelope(at_hand).put(parcel(1));
            let called = handler.call(&mut slot, at_hand, delivery, cx);
            assert_eq!(called, Called::WrongParcel);
            let parcel = envelope(at_hand).take::<Parcel<Add, ()>>();
            assert_eq!(parcel.map(|parcel| parcel.into_parts().0.0), Some(1));
        });
    }
}

#[test]
fn a_hook_of_a_subsystem_that_is_away_is_not_called() {
    let hook = Method::<Awaited, _, (), (), ()>::new(begin);
    with_host(|_, delivery, cx| {
        let mut slot = HandlerSlot::new(Box::new(7));
        slot.state = None;
        let called = hook.call(&mut slot, (), delivery, cx);
        assert_eq!(called, Called::Failed);
        assert_eq!(&*slot.failure, "the subsystem was not there");
        slot.state = Some(Box::new(7));
        let called = hook.call(&mut slot, (), delivery, cx);
        assert_eq!(called, Called::Handled);
        assert_eq!(slot.state.as_deref(), Some(&0));
    });
}

#[test]
fn a_blocking_handler_whose_threads_are_gone_fails_its_message_and_loses_the_subsystem() {
    let [_, _, blocking] = handlers();
    with_host(|at_hand, delivery, cx| {
        let mut slot = HandlerSlot::new(Box::new(7));
        envelope(at_hand).head_mut().is_ask = true;
        envelope(at_hand).put(parcel(1));
        let called = blocking.call(&mut slot, at_hand, delivery, cx);
        assert_eq!(called, Called::Panicked);
        let text = slot.panic.as_deref();
        assert_eq!(text, Some("there are no threads for blocking handlers"));
        assert!(!envelope(at_hand).is_loaded() && slot.state.is_none());
    });
}
