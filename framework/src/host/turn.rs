//! A turn: the slice of messages that a subsystem handles before others on its thread come round.
//!
//! Steps of one message: take it from the backlog, read the clock, call its handler with panics
//! caught, read the clock, note how it ended, return the envelope. The last three go through
//! [`Gathered`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};
use std::time::Duration;

use super::gathered::Gathered;
use super::{Resident, Works, panic_message};
use crate::clock::Stamp;
use crate::envelope::Envelope;
use crate::extract::Delivery;
use crate::handler::runner::Outcome;
use crate::handler::{Called, Failure};
use crate::ledger::Ending;
use crate::mailbox::Serving;
use crate::mailbox::inbox::{Inbox, Taken};
use crate::mailbox::orders::Order;
use crate::pool::lane;
use crate::shared::Phase;
use crate::sync::Ordering;
use crate::token::Token;

/// Longest time that a turn may go on beginning messages, in nanoseconds.
const TURN_NS: u64 = 500_000;
/// Most looks at an empty mailbox before the host sleeps.
const LOOKS: u32 = 8;

/// What the host does after a turn.
pub(super) enum Turn {
    /// More to do: let others run, then go on.
    Again,
    /// Nothing to do, but more is likely to come soon: let others run, then look again.
    Linger,
    /// Nothing to do until woken.
    Sleep,
    /// The subsystem has ended.
    Over,
}

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

impl<S: 'static> Resident<S> {
    /// Handles a slice of messages.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) -> Turn {
        let Some(works) = self.works.take() else {
            return Turn::Over;
        };
        let shared = &works.shared;
        let serving = Serving::enter(shared.address(), works.mounted.seat.id);
        let mut gathered = Gathered::new(lane::of_this_thread(&shared.pool));
        gathered.begin_turn(&mut self.went_on);
        let turn = self.serve(&works, cx, &mut gathered);
        self.went_on = matches!(turn, Turn::Again);
        gathered.end_turn(&works, self.went_on);
        drop(serving);
        self.works = Some(works);
        turn
    }

    fn serve(&mut self, works: &Works<S>, cx: &mut Context<'_>, gathered: &mut Gathered) -> Turn {
        let slice = works.mounted.slice.load(Ordering::Relaxed);
        let mut begun = 0;
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
            if begun >= slice {
                return Turn::Again;
            }
            let Some(token) = self.next(works) else {
                match self.rest(works, cx, begun) {
                    Some(turn) => return turn,
                    None => continue,
                }
            };
            begun += 1;
            let started = self.begin(works, token, gathered);
            let first = *gathered.first.get_or_insert(started);
            if works.shared.clock.between_ns(first, started) > TURN_NS {
                begun = slice;
            }
        }
    }

    /// The next message of the backlog, filled from the inbox when it is empty.
    #[inline]
    fn next(&mut self, works: &Works<S>) -> Option<Token> {
        let links = &works.shared.pool.links;
        if let Some(token) = self.backlog.pop_front(links) {
            return Some(token);
        }
        let seat = &works.mounted.seat;
        let taken = if self.order == Order::Drain {
            seat.inbox.close(links)
        } else {
            seat.inbox.take(links)
        };
        self.account(works, taken?);
        self.backlog.pop_front(&works.shared.pool.links)
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
    fn rest(&mut self, works: &Works<S>, cx: &mut Context<'_>, begun: u32) -> Option<Turn> {
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
        let seat = &works.mounted.seat;
        if !self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            seat.leave_waker(self.waker.clone());
        }
        seat.inbox.sleep().then_some(Turn::Sleep)
    }

    /// Begins a message; returns when.
    #[inline]
    fn begin(&mut self, works: &Works<S>, token: Token, gathered: &mut Gathered) -> Stamp {
        let shared = &works.shared;
        let mut envelope = Envelope::new(&shared.pool.slab, token);
        let started = shared.clock.now();
        let head = envelope.head();
        if head.deadline != 0 && head.deadline <= started.0 {
            if head.is_ask {
                put_failure(&mut envelope, Failure::Expired);
            }
            gathered.close(works, envelope, Ending::Expired);
            return started;
        }
        if head.table != works.mounted.map.id || shared.phase() == Phase::Abandoned {
            self.reject(works, envelope, gathered);
            return started;
        }
        let delivery = Delivery {
            sender: head.sender,
            remaining: (head.deadline != 0).then(|| {
                Duration::from_nanos(shared.clock.between_ns(started, Stamp(head.deadline)))
            }),
            surroundings: &**shared,
        };
        let Some(handler) = works.handlers.0.get(usize::from(head.handler)) else {
            self.reject(works, envelope, gathered);
            return started;
        };
        let called = catch_unwind(AssertUnwindSafe(|| {
            handler.call(&mut self.state, &mut self.runner, &mut envelope, &delivery)
        }));
        match called {
            Ok(Called::Ended(outcome)) => self.finish(works, envelope, started, outcome, gathered),
            Ok(Called::Running) => {
                self.in_service = Some(InService {
                    token: envelope.into_token(),
                    started,
                });
            }
            Ok(Called::WrongParcel) => self.reject(works, envelope, gathered),
            Err(panic) => self.panicked(works, envelope, started, panic_message(panic), gathered),
        }
        started
    }

    /// Goes on with a handler that waited; returns it if it still waits.
    fn go_on(
        &mut self,
        works: &Works<S>,
        cx: &mut Context<'_>,
        service: InService,
        gathered: &mut Gathered,
    ) -> Option<InService> {
        let shared = &works.shared;
        let InService { token, started } = service;
        let mut envelope = Envelope::new(&shared.pool.slab, token);
        let polled = catch_unwind(AssertUnwindSafe(|| self.runner.poll(cx, &mut envelope)));
        match polled {
            Ok(Poll::Pending) => {
                return Some(InService {
                    token: envelope.into_token(),
                    started,
                });
            }
            Ok(Poll::Ready((state, outcome))) => {
                self.state = Some(state);
                self.finish(works, envelope, started, outcome, gathered);
            }
            Err(panic) => self.panicked(works, envelope, started, panic_message(panic), gathered),
        }
        None
    }

    #[inline]
    fn finish(
        &mut self,
        works: &Works<S>,
        envelope: Envelope<'_>,
        started: Stamp,
        outcome: Outcome,
        gathered: &mut Gathered,
    ) {
        let ending = match outcome {
            Outcome::Handled => Ending::Handled,
            Outcome::Failed(text) => {
                works.mounted.note_failure(text.into());
                Ending::Failed
            }
            Outcome::Panicked(panic) => {
                let message = panic_message(panic);
                return self.panicked(works, envelope, started, message, gathered);
            }
        };
        gathered.sample(works, &envelope, started);
        gathered.close(works, envelope, ending);
    }

    #[cold]
    fn panicked(
        &mut self,
        works: &Works<S>,
        mut envelope: Envelope<'_>,
        started: Stamp,
        message: Box<str>,
        gathered: &mut Gathered,
    ) {
        works.mounted.note_failure(message.clone());
        gathered.sample(works, &envelope, started);
        // The subsystem is there again before the asker hears of it.
        self.restart(works);
        if envelope.head().is_ask {
            envelope.put(Failure::Panicked(message));
        }
        gathered.close(works, envelope, Ending::Failed);
    }

    /// Ends a handler under way because the system's deadline has passed.
    #[cold]
    fn cut_off(&mut self, works: &Works<S>, service: InService, gathered: &mut Gathered) {
        let shared = &works.shared;
        let mut envelope = Envelope::new(&shared.pool.slab, service.token);
        let _ = catch_unwind(AssertUnwindSafe(|| self.runner.clear()));
        gathered.sample(works, &envelope, service.started);
        if envelope.head().is_ask {
            envelope.put(Failure::Unhandled);
        }
        gathered.close(works, envelope, Ending::Failed);
    }

    /// Ends a message that no handler takes.
    #[cold]
    fn reject(&mut self, works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered) {
        if envelope.head().is_ask {
            put_failure(&mut envelope, Failure::Unhandled);
        }
        gathered.close(works, envelope, Ending::Undeliverable);
    }

    /// Ends everything that is still here, and tells the registry.
    pub(super) fn end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let Some(works) = self.works.take() else {
            return;
        };
        let shared = &works.shared;
        let mut gathered = Gathered::new(lane::of_this_thread(&shared.pool));
        if let Some(service) = self.in_service.take() {
            self.cut_off(&works, service, &mut gathered);
        }
        // Closed first: who is told of its message's end finds the mailbox closed.
        let mut rest = works.mounted.seat.inbox.close(&shared.pool.links);
        loop {
            while let Some(token) = self.backlog.pop_front(&shared.pool.links) {
                self.reject(
                    &works,
                    Envelope::new(&shared.pool.slab, token),
                    &mut gathered,
                );
            }
            match rest.take() {
                Some(taken) => self.account(&works, taken),
                None => break,
            }
        }
        gathered.begin_turn(&mut self.went_on);
        gathered.end_turn(&works, false);
        works.mounted.seat.leave_waker(None);
        self.waker = None;
        // Senders that wait for room in this mailbox must learn that there will be none.
        works.mounted.seat.make_room(usize::MAX);
        let state = self.state.take();
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
