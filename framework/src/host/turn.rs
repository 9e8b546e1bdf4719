//! A turn: the slice of messages that a subsystem handles before others on its thread come round.
//!
//! Steps of one message: take it from the backlog, read the clock, call its handler with panics
//! caught, read the clock, note how it ended, return the envelope. The last three go through
//! [`Gathered`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Context;

use super::gathered::Gathered;
use super::{Resident, Works, panic_message};
use crate::clock::{Due, Stamp};
use crate::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::extract::Delivery;
use crate::handler::{Called, Failure};
use crate::ledger::Ending;
use crate::local::agenda::Turn;
use crate::mailbox::inbox::{Inbox, Taken};
use crate::mailbox::lanes::{Lanes, Look};
use crate::mailbox::orders::Order;
use crate::shared::Letter;
use crate::sync::Ordering;
use crate::token::{Links, Token};

/// Most looks at an empty mailbox before the host sleeps.
const LOOKS: u32 = 8;

/// A message whose handler has begun and waits for something.
pub(super) struct InService {
    token: Token,
    started: Stamp,
}

/// Puts in, instead of a message that no handler took, what its asker is to find.
#[cold]
fn put_failure(envelope: &mut Envelope<'_>, failure: Failure) {
    // The message's own drop may panic.
    let _ = catch_unwind(AssertUnwindSafe(|| envelope.clear()));
    envelope.put(failure);
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

fn bury<S>(works: &Works<S>, envelope: &Envelope<'_>, reason: DeadReason) {
    let mounted = &works.mounted;
    let letter = Letter::of(envelope);
    works
        .shared
        .bury(&mounted.seat, &mounted.map, letter, reason);
}

/// Ends a message whose deadline has passed, or whose asker has gone, before its handler began.
#[cold]
fn expire<S>(works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered<'_>) {
    // Its asker is told, or has gone by its own will.
    if envelope.head().is_ask {
        put_failure(&mut envelope, Failure::Expired);
    } else {
        bury(works, &envelope, DeadReason::Expired);
    }
    gathered.close(works, envelope, Ending::Expired);
}

/// Ends a message that no handler takes.
#[cold]
fn reject<S>(works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered<'_>) {
    if envelope.head().is_ask {
        put_failure(&mut envelope, Failure::Unhandled);
    } else {
        bury(works, &envelope, DeadReason::Undeliverable);
    }
    gathered.close(works, envelope, Ending::Undeliverable);
}

/// Ends a message whose handler returned an error.
#[cold]
fn failed<S>(
    works: &Works<S>,
    envelope: Envelope<'_>,
    started: Stamp,
    text: String,
    gathered: &mut Gathered<'_>,
) {
    if !envelope.head().is_ask {
        bury(works, &envelope, DeadReason::Failed(text.as_str().into()));
    }
    works.mounted.note_failure(text.into());
    gathered.sample(works, &envelope, started);
    gathered.close(works, envelope, Ending::Failed);
}

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
        let serving = works.local.serve(works.mounted.seat.id);
        let mut gathered = Gathered::new(&works.local);
        gathered.begin_turn(&mut self.went_on);
        let turn = self.serve(works, &mut Context::from_waker(&waker), &mut gathered);
        self.went_on = turn == Turn::Again;
        self.is_ending = turn == Turn::Over;
        gathered.end_turn(works, self.went_on);
        drop(serving);
        self.waker = Some(waker);
        turn
    }

    fn serve(
        &mut self,
        works: &Works<S>,
        cx: &mut Context<'_>,
        gathered: &mut Gathered<'_>,
    ) -> Turn {
        let slice = works.mounted.slice.load(Ordering::Relaxed);
        let mut left = slice;
        loop {
            if let Some(service) = self.in_service.take() {
                if self.order == Order::Abort {
                    self.cut_off(works, service, gathered);
                    continue;
                }
                if let Some(waiting) = self.go_on(works, cx, service, gathered) {
                    self.in_service = Some(waiting);
                    return Turn::Sleep;
                }
                continue;
            }
            if self.order == Order::Abort {
                return Turn::Over;
            }
            let mut at_hand = None;
            let run = || self.run(works, cx, gathered, &mut at_hand, &mut left);
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ran::Slice) => return Turn::Again,
                Ok(Ran::Waiting) => {}
                Ok(Ran::Dry) => {
                    if let Some(turn) = self.rest(works, slice - left) {
                        return turn;
                    }
                }
                Err(panic) => {
                    if let Some((envelope, started)) = at_hand {
                        let message = panic_message(panic);
                        self.panicked(works, envelope, started, message, gathered);
                    }
                }
            }
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
        let (handlers, table) = (&*works.handlers.0, works.mounted.map.id);
        let mut delivery = Delivery {
            sender: 0,
            due: Due::NEVER,
            trace: 0,
            started: Stamp(0),
            surroundings: shared,
        };
        while *left > 0 {
            let Some(token) = self.next(works, &pool.links) else {
                return Ran::Dry;
            };
            *left -= 1;
            let started = clock.now();
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
            let trace = envelope.trace().0;
            works.local.take_up(head.due, trace);
            delivery.sender = head.sender;
            delivery.due = head.due;
            delivery.trace = trace;
            delivery.started = started;
            let (envelope, _) = at_hand.insert((envelope, started));
            let called = handler.call(&mut self.desk, envelope, &delivery, cx);
            let Some((envelope, started)) = at_hand.take() else {
                unreachable!("it was put there before the call");
            };
            if called == Called::Handled {
                gathered.sample(works, &envelope, started);
                gathered.close(works, envelope, Ending::Handled);
                continue;
            }
            if called == Called::Running {
                let token = envelope.into_token();
                self.in_service = Some(InService { token, started });
                return Ran::Waiting;
            }
            self.finish(works, envelope, started, called, gathered);
        }
        Ran::Slice
    }

    /// The next message of the backlog, filled from the inbox when it is empty.
    #[inline(always)]
    fn next(&mut self, works: &Works<S>, links: &Links) -> Option<Token> {
        if let Some(lanes) = works.mounted.seat.lanes() {
            return self.next_of(lanes, works, links);
        }
        if let Some(token) = self.backlog.pop_front(links) {
            return Some(token);
        }
        self.take_all(works, links)?;
        self.backlog.pop_front(links)
    }

    /// The next message of a mailbox with several lanes.
    #[inline(never)]
    fn next_of(&mut self, lanes: &Lanes, works: &Works<S>, links: &Links) -> Option<Token> {
        let look = match self.order {
            Order::Serve if self.looks == 0 => Look::Asleep,
            Order::Serve => Look::Awake,
            Order::Drain | Order::Abort => Look::Closing,
        };
        let seat = &works.mounted.seat;
        let looked = lanes.next(&seat.inbox, links, look, (&mut self.backlog, self.ticket));
        if looked.off != 0 {
            seat.endings.tear(looked.off);
        }
        if looked.taken > 0 {
            works.shared.pool.note_in_flight(looked.taken);
        }
        looked.next
    }

    /// Fills the backlog from the inbox.
    #[inline(never)]
    fn take_all(&mut self, works: &Works<S>, links: &Links) -> Option<()> {
        let seat = &works.mounted.seat;
        let taken = match self.order {
            Order::Drain => seat.close(links),
            // One that gets a message now and then counts as asleep from here on: it need not say so
            // again after that message.
            _ => seat.inbox.take(links, self.looks == 0),
        };
        self.account(works, taken?);
        Some(())
    }

    /// Checks what the inbox gave out against what it took in.
    fn account(&mut self, works: &Works<S>, taken: Taken) {
        let accepted = Inbox::between(self.ticket, taken.ticket);
        let off = accepted.abs_diff(u64::from(taken.chain.len()));
        if off != 0 {
            works.mounted.seat.endings.tear(off);
        }
        self.ticket = taken.ticket;
        works.shared.pool.note_in_flight(taken.chain.len());
        self.backlog = taken.chain;
    }

    /// Nothing is left: lingers, sleeps, or ends; `None` if something came meanwhile.
    ///
    /// To wake a sleeping thread costs the sender a system call and the thread some microseconds; to
    /// look again costs a tenth of one. So a subsystem that was busy looks a few times more before it
    /// sleeps, and one that gets a message now and then sleeps at once.
    fn rest(&mut self, works: &Works<S>, begun: u32) -> Option<Turn> {
        if self.order == Order::Drain {
            return Some(Turn::Over);
        }
        self.looks = match begun {
            0 => self.looks.saturating_sub(1),
            begun => (u32::from(self.looks) + begun / 2).min(LOOKS) as u8,
        };
        if self.looks > 0 {
            return Some(Turn::Linger);
        }
        works.mounted.seat.sleep().then_some(Turn::Sleep)
    }

    /// Goes on with a handler that waited; returns it if it still waits.
    fn go_on(
        &mut self,
        works: &Works<S>,
        cx: &mut Context<'_>,
        service: InService,
        gathered: &mut Gathered<'_>,
    ) -> Option<InService> {
        let shared = &works.shared;
        let InService { token, started } = service;
        let mut envelope = Envelope::new(&shared.pool.slab, token);
        works.local.take_up(envelope.head().due, envelope.trace().0);
        match catch_unwind(AssertUnwindSafe(|| self.desk.poll(cx, &mut envelope))) {
            Ok(Called::Running) => {
                let token = envelope.into_token();
                return Some(InService { token, started });
            }
            Ok(called) => self.finish(works, envelope, started, called, gathered),
            Err(panic) => self.panicked(works, envelope, started, panic_message(panic), gathered),
        }
        None
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
            }
            Called::Failed => {
                let text = std::mem::take(&mut self.desk.failure);
                failed(works, envelope, started, text, gathered);
            }
            Called::Panicked => {
                let panic = self.desk.panic.take();
                let message = panic.map_or("a panic".into(), panic_message);
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
        works.mounted.note_failure(message.clone());
        gathered.sample(works, &envelope, started);
        // The subsystem is there again before the asker hears of it.
        self.restart(works);
        if envelope.head().is_ask {
            envelope.put(Failure::Panicked(message));
        } else {
            bury(works, &envelope, DeadReason::Panicked((*message).into()));
        }
        gathered.close(works, envelope, Ending::Failed);
    }

    /// Ends a handler under way because the system's deadline has passed.
    #[cold]
    fn cut_off(&mut self, works: &Works<S>, service: InService, gathered: &mut Gathered<'_>) {
        let shared = &works.shared;
        let mut envelope = Envelope::new(&shared.pool.slab, service.token);
        let _ = catch_unwind(AssertUnwindSafe(|| self.desk.runner.clear()));
        gathered.sample(works, &envelope, service.started);
        if envelope.head().is_ask {
            envelope.put(Failure::Unhandled);
        } else {
            bury(works, &envelope, DeadReason::Undeliverable);
        }
        gathered.close(works, envelope, Ending::Failed);
    }

    /// Ends everything that is still here, and tells the registry.
    pub(super) fn end(&mut self, works: &Works<S>) {
        self.is_ending = true;
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let shared = &works.shared;
        let mut gathered = Gathered::new(&works.local);
        if let Some(service) = self.in_service.take() {
            self.cut_off(works, service, &mut gathered);
        }
        // Closed first: who is told of its message's end finds the mailbox closed.
        let links = &shared.pool.links;
        let mut rest = works.mounted.seat.close(links);
        self.order = Order::Abort;
        loop {
            while let Some(token) = self.backlog.pop_front(links) {
                let envelope = Envelope::new(&shared.pool.slab, token);
                reject(works, envelope, &mut gathered);
            }
            match rest.take() {
                Some(taken) => self.account(works, taken),
                None => break,
            }
        }
        if let Some(lanes) = works.mounted.seat.lanes() {
            while let Some(token) = self.next_of(lanes, works, links) {
                let envelope = Envelope::new(&shared.pool.slab, token);
                reject(works, envelope, &mut gathered);
            }
        }
        gathered.begin_turn(&mut self.went_on);
        gathered.end_turn(works, false);
        works.mounted.seat.move_out();
        works.mounted.seat.leave_waker(None);
        self.waker = None;
        // Senders that wait for room in this mailbox must learn that there will be none.
        works.mounted.seat.make_room(usize::MAX);
        let state = self.desk.state.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(state))) {
            let message = panic_message(panic);
            works.mounted.note_failure(
                format!("the subsystem panicked while it was dropped: {message}").into(),
            );
        }
        for ended in self.ended.drain(..) {
            let _ = ended.send(());
        }
    }
}
