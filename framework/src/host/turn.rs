//! A turn: the slice of messages that a subsystem handles before others on its thread come round.
//!
//! Steps of one message: take it from the backlog, read the clock, call its handler with panics
//! caught, read the clock, note how it ended, return the envelope. The last three go through
//! [`Gathered`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;

use super::ends::{bury, expire, failed, put_failure, reject};
use super::gathered::Gathered;
#[cfg(feature = "test")]
use super::injected::{Met, blow_up};
use super::life::{Life, Ready};
use super::{Resident, Works};
use crate::base::clock::{Due, Stamp};
use crate::base::sim::{self, Point};
use crate::base::user_code::{contain, text_of};
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::envelope::token::Token;
use crate::mailbox::orders::Order;
use crate::route::extract::{Abandoned, Delivery};
use crate::route::handler::hooks::Hook;
use crate::route::handler::{Called, Unanswered};
use crate::thread::agenda::Turn;
use crate::thread::stamps::Stamps;
use crate::words::ledger::Ending;
use crate::words::supervision::Failure;

/// Most looks at an empty mailbox before the host sleeps.
const LOOKS: u32 = 8;

/// What is under way and waits for something.
pub(super) enum Service {
    /// A message, in its handler since then.
    Message(Token, Stamp),
    Hook(Hook),
    /// A blocking call whose message has ended: the subsystem's value is to come back from there.
    Returning,
    /// A message that is held back by a fault.
    #[cfg(feature = "test")]
    Delayed(super::injected::Delayed),
}

/// Why a run of messages ended.
enum Ran {
    /// The slice is used up.
    Slice,
    /// Nothing is left in the mailbox.
    Dry,
    /// A handler waits for something.
    Waiting,
}

/// The message at hand; out here, so that it is not lost when its handler panics.
type AtHand<'w> = Option<(Envelope<'w>, Stamp)>;

impl<S: 'static> Resident<S> {
    /// Handles a slice of messages.
    pub(super) fn turn(&mut self, works: &Works<S>) -> Turn {
        if self.is_ending {
            return Turn::Over;
        }
        // Out of the way of `self` for the time of the turn.
        let Some(waker) = self.waker.take() else {
            return Turn::Sleep;
        };
        let slice = works.mounted.slice.get();
        if slice.time().is_some() && self.share.has_had() {
            self.waker = Some(waker);
            return Turn::Sleep;
        }
        let serving = works.local.serve(works.mounted.seat.id);
        works.local.serve_on(&waker);
        let mut gathered = Gathered::new(&works.local);
        gathered.begin_turn(&mut self.went_on);
        let (messages, timed) = match slice.time() {
            None => (slice.messages(), None),
            Some(time) => {
                let clock = &works.shared.clock;
                let goes_on = self.in_service.is_some();
                let (messages, timed) =
                    (self.share).begin(slice, time, goes_on, clock, &mut gathered);
                (messages, Some(timed))
            }
        };
        let cx = &mut Context::from_waker(&waker);
        let messages = sim::at_most(Point::Slice, messages);
        let mut turn = self.serve(works, cx, &mut gathered, messages);
        self.went_on = turn == Turn::Again;
        self.is_ending = turn == Turn::Over;
        self.has_waited |= works.local.has_waited.get();
        gathered.end_turn(works, self.went_on);
        drop(serving);
        if let Some(timed) = timed {
            let is_idle = !self.went_on && self.in_service.is_none();
            turn = (self.share).end(turn, timed, &works.shared.clock, is_idle);
        }
        self.waker = Some(waker);
        turn
    }

    /// Begins at most `slice` messages.
    fn serve(
        &mut self,
        works: &Works<S>,
        cx: &mut Context<'_>,
        gathered: &mut Gathered<'_>,
        slice: u32,
    ) -> Turn {
        let mut left = slice;
        if self.has_orders() {
            self.obey(works, gathered);
        }
        if works.mounted.seat.has_expired() {
            self.sweep(works, gathered);
        }
        loop {
            if let Some(service) = self.in_service.take() {
                if self.order == Order::Abort {
                    self.cut_off(works, service, gathered);
                } else if let Some(waiting) = self.go_on(works, cx, service, gathered) {
                    self.in_service = Some(waiting);
                    self.open_room(works);
                    return Turn::Sleep;
                }
                continue;
            }
            match self.get_ready(works, cx) {
                Ready::Yes => {}
                Ready::Not => {
                    self.open_room(works);
                    return Turn::Sleep;
                }
                Ready::Over => return self.over(works, cx),
            }
            let mut at_hand = None;
            let run = || self.run(works, cx, gathered, &mut at_hand, &mut left);
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ran::Slice) => return Turn::Again,
                Ok(Ran::Waiting) => {}
                Ok(Ran::Dry) if self.order == Order::Drain => return self.over(works, cx),
                Ok(Ran::Dry) => {
                    if let Some(turn) = self.rest(works, slice - left) {
                        return turn;
                    }
                }
                Err(panic) => {
                    works.local.in_sync_handler.set(false);
                    if let Some((envelope, started)) = at_hand {
                        if panic.is::<Abandoned>() {
                            reject(works, envelope, gathered);
                            continue;
                        }
                        let message = text_of(panic);
                        self.panicked(works, envelope, started, message, gathered);
                    }
                }
            }
        }
    }

    /// All messages have ended; so does the subsystem, after its last hook.
    #[cold]
    fn over(&mut self, works: &Works<S>, cx: &mut Context<'_>) -> Turn {
        match self.is_stopped(works, cx) {
            true => Turn::Over,
            false => Turn::Sleep,
        }
    }

    /// Handles messages one after the other, until the slice is used up or one has to wait.
    ///
    /// # Panics
    /// Where a handler does; its message is at hand then.
    fn run<'w>(
        &mut self,
        works: &'w Works<S>,
        cx: &mut Context<'_>,
        gathered: &mut Gathered<'_>,
        at_hand: &mut AtHand<'w>,
        left: &mut u32,
    ) -> Ran {
        let shared = &*works.shared;
        let (pool, clock) = (&*shared.pool, &shared.clock);
        let (handlers, table) = (&*works.handlers.handlers, works.mounted.map.id);
        let mut delivery = Delivery {
            receiver: works.mounted.seat.id,
            sender: 0,
            due: Due::NEVER,
            trace: 0,
            started: Stamp(0),
            surroundings: shared,
            in_sync_handler: &works.local.in_sync_handler,
        };
        // In a turn that was lent there is no room to gather samples.
        let shares = shared.stamps == Stamps::Shared && works.local.agenda.depth() == 0;
        while *left > 0 {
            let Some(token) = self.next(works, &pool.links) else {
                gathered.end_alike(works);
                return Ran::Dry;
            };
            *left -= 1;
            let started = match shares {
                false => clock.now(),
                true => gathered.begin_alike(works),
            };
            if started > gathered.until {
                // The turn's first message, or one that begins too late to be followed by more.
                if gathered.begin(started, works.turn_limit) {
                    *left = 0;
                }
            }
            let envelope = Envelope::new(&pool.slab, token);
            let head = envelope.head();
            if head.due.is_past(started) || head.is_ask && envelope.reply_slot().is_abandoned() {
                expire(works, envelope, gathered);
                continue;
            }
            let handler = handlers.get(usize::from(head.handler));
            let is_current = head.table == table;
            let (Some(handler), true) = (handler, is_current && !shared.is_abandoned()) else {
                reject(works, envelope, gathered);
                continue;
            };
            #[cfg(feature = "test")]
            let (envelope, injected) = match head.fault {
                0 => (envelope, None),
                _ => match self.meet_fault(works, envelope, started, gathered) {
                    Met::Panic(envelope, text) => (envelope, Some(text)),
                    Met::Nothing(envelope) => (envelope, None),
                    Met::Dropped => continue,
                    Met::Delayed => return Ran::Waiting,
                },
            };
            #[cfg(feature = "test")]
            let head = envelope.head();
            let trace = envelope.trace().0;
            works.local.take_up(head.due, trace);
            delivery.sender = head.sender;
            delivery.due = head.due;
            delivery.trace = trace;
            delivery.started = started;
            let (envelope, _) = at_hand.insert((envelope, started));
            #[cfg(feature = "test")]
            if let Some(text) = injected {
                blow_up(envelope, text);
            }
            let called = handler.call(&mut self.desk, envelope, &delivery, cx);
            let Some((envelope, started)) = at_hand.take() else {
                unreachable!("it was put there before the call");
            };
            if works.local.has_waited.get() && called != Called::Running {
                self.end_waits(works);
            }
            if called == Called::Handled {
                match shares {
                    false => gathered.sample(works, &envelope, started),
                    true => gathered.sample_alike(works, &envelope),
                }
                gathered.close(works, envelope, Ending::Handled);
                self.change();
                continue;
            }
            if called == Called::Running {
                gathered.end_alike(works);
                self.in_service = Some(Service::Message(envelope.into_token(), started));
                return Ran::Waiting;
            }
            self.finish(works, envelope, started, called, gathered);
            if !matches!(self.life, Life::Running) || self.order == Order::Abort {
                // It failed with this message.
                return Ran::Waiting;
            }
        }
        Ran::Slice
    }

    /// Nothing is left: lingers, sleeps, or ends; `None` if something came meanwhile.
    ///
    /// To wake a sleeping thread costs the sender a system call and the thread some microseconds; to
    /// look again costs a tenth of one. So a subsystem that was busy looks a few times more before it
    /// sleeps, and one that gets a message now and then sleeps at once.
    fn rest(&mut self, works: &Works<S>, begun: u32) -> Option<Turn> {
        self.looks = match begun {
            0 => self.looks.saturating_sub(1),
            begun => (u32::from(self.looks) + begun / 2).min(LOOKS) as u8,
        };
        if (self.looks > 0) != sim::coin(Point::Rest) {
            return Some(Turn::Linger);
        }
        sim::preempt(Point::Sleep);
        works.mounted.seat.sleep().then_some(Turn::Sleep)
    }

    /// Goes on with what waited; returns it if it still waits.
    fn go_on(
        &mut self,
        works: &Works<S>,
        cx: &mut Context<'_>,
        service: Service,
        gathered: &mut Gathered<'_>,
    ) -> Option<Service> {
        let (token, started) = match service {
            Service::Message(token, started) => (token, started),
            #[cfg(feature = "test")]
            Service::Delayed(delayed) => return self.go_on_delaying(works, cx, delayed),
            Service::Returning => {
                if self.desk.catch(|desk| desk.poll(cx, None)) == Called::Running {
                    return Some(Service::Returning);
                }
                self.desk.panic = None;
                // What was put off until now.
                self.obey(works, gathered);
                return None;
            }
            Service::Hook(hook) => {
                let ended = self.go_on_with_hook(works, cx, hook);
                return (!ended).then_some(Service::Hook(hook));
            }
        };
        let mut envelope = Envelope::new(&works.shared.pool.slab, token);
        works.local.take_up(envelope.head().due, envelope.trace().0);
        let poll = || self.desk.poll(cx, Some(&mut envelope));
        match contain(poll) {
            Ok(Called::Running) => return Some(Service::Message(envelope.into_token(), started)),
            Ok(called) => {
                self.end_waits_of_ended(works);
                self.finish(works, envelope, started, called, gathered);
            }
            Err(message) => self.panicked(works, envelope, started, message, gathered),
        }
        None
    }

    /// A handler has ended, and with it all that it waits for: an ask that it has forgotten, or given to
    /// another task, leaves no edge of the wait graph behind.
    #[cold]
    pub(super) fn end_waits(&mut self, works: &Works<S>) {
        self.has_waited = false;
        works.local.has_waited.set(false);
        works.shared.waits.end_all(works.mounted.seat.id);
    }

    /// The same for one that has waited in several turns.
    pub(super) fn end_waits_of_ended(&mut self, works: &Works<S>) {
        if self.has_waited || works.local.has_waited.get() {
            self.end_waits(works);
        }
    }

    /// Ends a message whose handler was called, and has ended.
    fn finish(
        &mut self,
        works: &Works<S>,
        envelope: Envelope<'_>,
        started: Stamp,
        called: Called,
        gathered: &mut Gathered<'_>,
    ) {
        match called {
            Called::Handled => {
                gathered.sample(works, &envelope, started);
                gathered.close(works, envelope, Ending::Handled);
                self.change();
            }
            Called::Later => self.keep(works, envelope.into_token()),
            Called::Failed => {
                self.change();
                let text = std::mem::take(&mut self.desk.failure);
                let fails = works
                    .mounted
                    .policy()
                    .on_error
                    .then(|| text.as_str().into());
                failed(works, envelope, started, text, gathered);
                if let Some(text) = fails {
                    self.fail(works, Failure::Error(text));
                }
            }
            Called::Panicked => {
                let panic = self.desk.panic.take();
                let message = panic.unwrap_or_else(|| "a panic".into());
                self.panicked(works, envelope, started, message, gathered);
            }
            Called::WrongParcel | Called::Running => reject(works, envelope, gathered),
        }
    }

    #[cold]
    fn panicked(
        &mut self,
        works: &Works<S>,
        mut envelope: Envelope<'_>,
        started: Stamp,
        message: Box<str>,
        gathered: &mut Gathered<'_>,
    ) {
        self.end_waits_of_ended(works);
        gathered.sample(works, &envelope, started);
        // Unless its policy says otherwise, the subsystem is there again before the asker hears of it.
        self.fail(works, Failure::Panic((*message).into()));
        if envelope.head().is_ask {
            put_failure(&mut envelope, Unanswered::Panicked(message));
        } else {
            bury(works, &envelope, DeadReason::Panicked((*message).into()));
        }
        gathered.close(works, envelope, Ending::Failed);
    }
}
