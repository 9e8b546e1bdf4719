//! A turn: the slice of messages that a subsystem handles before others on its thread come round.
//!
//! Steps of one message: take it from the backlog, read the clock, call its handler, read the clock, note how
//! it ended, return the envelope. The last three go through [`TurnBatch`]. A panic of a handler that is not
//! `async` is caught here, in `serve`, by one guard around many messages.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;

use super::batch::TurnBatch;
use super::deferred::Deferring;
use super::ends::{expire, reject};
use super::life::{Closing, Life, Ready};
use super::marked::{Delayed, Met};
use super::{HostEnv, HostState};
use crate::base::clock::{Due, Stamp};
use crate::base::sim::{self, Point};
use crate::base::user_code::{contain, text_of};
use crate::envelope::Envelope;
use crate::envelope::token::Token;
use crate::mailbox::orders::Order;
use crate::route::extract::{Abandoned, Delivery};
use crate::route::handler::hooks::Hook;
use crate::route::handler::{AtHand, Called};
use crate::thread::agenda::Turn;
use crate::thread::stamps::Stamps;
use crate::words::ledger::Ending;

/// Most looks at an empty mailbox before the host sleeps.
const LOOKS: u32 = 8;

/// What is under way and waits for something.
pub(super) enum Service {
    /// A message, in its handler since then.
    Message(Token, Stamp),
    /// A message whose handler has taken its reply.
    Deferring(Box<Deferring>),
    Hook(Hook),
    /// A blocking call whose message has ended: the subsystem's value is to come back from there.
    Returning,
    /// A message that a tap holds back.
    Delayed(Delayed),
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

impl<S: 'static> HostState<S> {
    /// Handles a slice of messages.
    pub(super) fn turn(&mut self, env: &HostEnv<S>) -> Turn {
        if self.closing >= Closing::Over {
            return Turn::Over;
        }
        // Out of the way of `self` for the time of the turn.
        let Some(waker) = self.waker.take() else {
            return Turn::Sleep;
        };
        let slice = env.mounted.slice.get();
        if slice.time().is_some() && self.share.has_had() {
            self.waker = Some(waker);
            return Turn::Sleep;
        }
        let serving = env.local.serve(env.mounted.mailbox.id);
        env.local.serve_on(&waker);
        let mut batch = TurnBatch::new(&env.local);
        batch.begin_turn(&mut self.went_on);
        let (messages, timed) = match slice.time() {
            None => (slice.messages(), None),
            Some(time) => {
                let clock = &env.shared.clock;
                let goes_on = self.in_service.is_some();
                let (messages, timed) = (self.share).begin(slice, time, goes_on, clock, &mut batch);
                (messages, Some(timed))
            }
        };
        let cx = &mut Context::from_waker(&waker);
        env.mounted.work.begin_turn(self.in_service.is_some());
        let messages = sim::at_most(Point::Slice, messages);
        let mut turn = self.serve(env, cx, &mut batch, messages);
        if !env.mounted.mailbox.returned.is_empty() {
            let has_changed = self.end_returned_between(env, &mut batch);
            if turn == Turn::Sleep && has_changed {
                turn = Turn::Again;
            }
        }
        self.went_on = turn == Turn::Again;
        if turn == Turn::Over {
            self.closing = Closing::Over;
        }
        self.has_waited |= env.local.has_waited.get();
        batch.end_turn(env, self.went_on);
        env.mounted.work.end_turn(self.in_service.is_some());
        drop(serving);
        if let Some(timed) = timed {
            let is_idle = !self.went_on && self.in_service.is_none();
            turn = (self.share).end(turn, timed, &env.shared.clock, is_idle);
        }
        self.waker = Some(waker);
        if turn == Turn::Sleep && !env.mounted.mailbox.returned.is_empty() {
            // By what was called at the end of this turn, so that it rang for nothing.
            env.mounted.mailbox.wake();
        }
        turn
    }

    /// Begins at most `slice` messages.
    fn serve(
        &mut self,
        env: &HostEnv<S>,
        cx: &mut Context<'_>,
        batch: &mut TurnBatch<'_>,
        slice: u32,
    ) -> Turn {
        let mut left = slice;
        if self.has_orders() {
            self.obey(env, batch);
        }
        if env.mounted.mailbox.has_expired() {
            self.sweep(env, batch);
        }
        loop {
            if let Some(service) = self.in_service.take() {
                if self.order == Order::Abort {
                    self.cut_off(env, service, batch);
                } else if let Some(waiting) = self.go_on(env, cx, service, batch) {
                    self.in_service = Some(waiting);
                    self.open_room(env);
                    return Turn::Sleep;
                }
                env.mounted.work.next();
                continue;
            }
            match self.get_ready(env, cx) {
                Ready::Yes => {}
                Ready::Not => {
                    self.open_room(env);
                    return Turn::Sleep;
                }
                Ready::Over => return self.over(env, cx),
            }
            let mut at_hand = None;
            let run = || self.run(env, cx, batch, &mut at_hand, &mut left);
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ran::Slice) => return Turn::Again,
                Ok(Ran::Waiting) => {}
                Ok(Ran::Dry) if self.order == Order::Drain => return self.over(env, cx),
                Ok(Ran::Dry) => {
                    if let Some(turn) = self.rest(env, slice - left) {
                        return turn;
                    }
                }
                Err(panic) => {
                    env.local.in_sync_handler.set(false);
                    if let Some(index) = self.slot.deferred.take() {
                        self.deferred += 1;
                        self.panicked_deferred(env, index, text_of(panic), batch);
                    } else if let Some((envelope, started)) = at_hand {
                        if panic.is::<Abandoned>() {
                            reject(env, envelope, batch);
                            continue;
                        }
                        let message = text_of(panic);
                        self.panicked(env, envelope, started, message, batch);
                    }
                }
            }
        }
    }

    /// All messages have ended; so does the subsystem, after its last hook.
    #[cold]
    fn over(&mut self, env: &HostEnv<S>, cx: &mut Context<'_>) -> Turn {
        if self.order != Order::Abort && env.mounted.spawned() > 0 {
            return Turn::Sleep;
        }
        if !self.is_stopped(env, cx) {
            return Turn::Sleep;
        }
        // The last hook may have spawned more.
        if self.order != Order::Abort && env.mounted.spawned() > 0 {
            return Turn::Sleep;
        }
        if self.deferred > 0 && self.order != Order::Abort {
            // Replies that it keeps itself will not come.
            self.drop_value(env);
            return Turn::Sleep;
        }
        Turn::Over
    }

    /// Handles messages one after the other, until the slice is used up or one has to wait.
    ///
    /// # Panics
    /// If a handler panics; `at_hand` then holds its message.
    fn run<'w>(
        &mut self,
        env: &'w HostEnv<S>,
        cx: &mut Context<'_>,
        batch: &mut TurnBatch<'_>,
        at_hand: &mut AtHand<'w>,
        left: &mut u32,
    ) -> Ran {
        let shared = &*env.shared;
        let (pool, clock) = (&*shared.pool, &shared.clock);
        let (handlers, table) = (&*env.handlers.handlers, env.mounted.map.id);
        let mut delivery = Delivery {
            receiver: env.mounted.mailbox.id,
            sender: 0,
            due: Due::NEVER,
            trace: 0,
            started: Stamp(0),
            surroundings: shared,
            in_sync_handler: &env.local.in_sync_handler,
        };
        // In a turn that was lent there is no room to gather samples.
        let shares = shared.stamps == Stamps::Shared && env.local.agenda.depth() == 0;
        while *left > 0 {
            let Some(token) = self.next(env, &pool.links) else {
                batch.end_alike(env);
                return Ran::Dry;
            };
            *left -= 1;
            let started = match shares {
                false => clock.now(),
                true => batch.begin_alike(env),
            };
            if started > batch.until {
                // The turn's first message, or one that begins too late to be followed by more.
                if batch.begin(started, env.turn_limit) {
                    *left = 0;
                }
            }
            let envelope = Envelope::new(&pool.slab, token);
            let head = envelope.head();
            if head.due.is_past(started) || head.is_ask && envelope.reply_slot().is_abandoned() {
                expire(env, envelope, batch);
                continue;
            }
            let handler = handlers.get(usize::from(head.handler));
            let is_current = head.table == table;
            let (Some(handler), true) = (handler, is_current && !shared.is_abandoned()) else {
                reject(env, envelope, batch);
                continue;
            };
            let trace = envelope.trace().0;
            env.local.take_up(head.due, trace);
            delivery.sender = head.sender;
            delivery.due = head.due;
            delivery.trace = trace;
            delivery.started = started;
            let envelope = match self.meet(env, envelope, started, batch, at_hand) {
                Met::Nothing(envelope) => envelope,
                Met::Dropped => continue,
                Met::Delayed => return Ran::Waiting,
            };
            *at_hand = Some((envelope, started));
            let called = handler.call(&mut self.slot, at_hand, &delivery, cx);
            let Some((envelope, started)) = at_hand.take() else {
                self.called_deferred(env, called, batch);
                match self.goes_on() {
                    true => continue,
                    false => return Ran::Waiting,
                }
            };
            if env.local.has_waited.get() && called != Called::Running {
                self.end_waits(env);
            }
            if called == Called::Handled {
                match shares {
                    false => batch.sample(env, &envelope, started),
                    true => batch.sample_alike(env, &envelope),
                }
                batch.close(env, envelope, Ending::Handled);
                self.change();
                continue;
            }
            if called == Called::Running {
                batch.end_alike(env);
                self.in_service = Some(Service::Message(envelope.into_token(), started));
                return Ran::Waiting;
            }
            self.finish(env, envelope, started, called, batch);
            if !self.goes_on() {
                // It failed with this message.
                return Ran::Waiting;
            }
        }
        Ran::Slice
    }

    /// True if the next message can be handled now.
    fn goes_on(&self) -> bool {
        matches!(self.life, Life::Running)
            && self.order != Order::Abort
            && self.in_service.is_none()
    }

    /// Nothing is left: lingers, sleeps, or ends; `None` if something came meanwhile.
    ///
    /// To wake a sleeping thread costs the sender a system call and the thread some microseconds; to
    /// look again costs a tenth of one. So a subsystem that was busy looks a few times more before it
    /// sleeps, and one that gets a message now and then sleeps at once.
    fn rest(&mut self, env: &HostEnv<S>, begun: u32) -> Option<Turn> {
        self.looks = match begun {
            0 => self.looks.saturating_sub(1),
            begun => (u32::from(self.looks) + begun / 2).min(LOOKS) as u8,
        };
        if (self.looks > 0) != sim::coin(Point::Rest) {
            return Some(Turn::Linger);
        }
        sim::preempt(Point::Sleep);
        env.mounted.mailbox.sleep().then_some(Turn::Sleep)
    }

    /// Goes on with what waited; returns it if it still waits.
    fn go_on(
        &mut self,
        env: &HostEnv<S>,
        cx: &mut Context<'_>,
        service: Service,
        batch: &mut TurnBatch<'_>,
    ) -> Option<Service> {
        let (token, started) = match service {
            Service::Message(token, started) => (token, started),
            Service::Delayed(delayed) => return self.go_on_delaying(env, cx, delayed),
            Service::Returning => {
                if self.slot.catch(|slot| slot.poll(cx, None)) == Called::Running {
                    return Some(Service::Returning);
                }
                self.slot.panic = None;
                // What was put off until now.
                self.obey(env, batch);
                return None;
            }
            Service::Deferring(deferring) => {
                env.local.take_up(deferring.due, deferring.trace);
                let called = self.slot.catch(|slot| slot.poll(cx, None));
                if called == Called::Running {
                    return Some(Service::Deferring(deferring));
                }
                self.end_deferring(env, deferring.index, called, batch);
                return None;
            }
            Service::Hook(hook) => {
                let ended = self.go_on_with_hook(env, cx, hook);
                return (!ended).then_some(Service::Hook(hook));
            }
        };
        let mut envelope = Envelope::new(&env.shared.pool.slab, token);
        env.local.take_up(envelope.head().due, envelope.trace().0);
        let poll = || self.slot.poll(cx, Some(&mut envelope));
        match contain(poll) {
            Ok(Called::Running) => return Some(Service::Message(envelope.into_token(), started)),
            Ok(called) => {
                self.end_waits_of_ended(env);
                self.finish(env, envelope, started, called, batch);
            }
            Err(message) => self.panicked(env, envelope, started, message, batch),
        }
        None
    }

    /// A handler has ended, and with it all that it waits for: an ask that it has forgotten, or given to
    /// another task, leaves no edge of the wait graph behind.
    #[cold]
    pub(super) fn end_waits(&mut self, env: &HostEnv<S>) {
        self.has_waited = false;
        env.local.has_waited.set(false);
        env.shared.waits.end_all(env.mounted.mailbox.id);
    }

    /// The same for one that has waited in several turns.
    pub(super) fn end_waits_of_ended(&mut self, env: &HostEnv<S>) {
        if self.has_waited || env.local.has_waited.get() {
            self.end_waits(env);
        }
    }
}
