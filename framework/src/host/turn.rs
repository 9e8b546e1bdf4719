//! A turn: the slice of messages that a subsystem handles before others on its thread come round.
//!
//! Steps of one message: take it from the backlog, read the clock, call its handler with panics
//! caught, read the clock, note how it ended, return the envelope. What a turn gathers (samples,
//! endings, free envelopes) is entered at its end in one go, and before every reply, so that an asker
//! who looks finds its own message in the books.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::handler::{Called, Failure, Outcome};
use super::{Order, Resident, Works, panic_message};
use crate::clock::Stamp;
use crate::envelope::Envelope;
use crate::extract::Delivery;
use crate::latency::Sample;
use crate::ledger::{Ending, Tally};
use crate::mailbox::Serving;
use crate::mailbox::inbox::{Inbox, Taken};
use crate::pool::lane::{self, Hold};
use crate::sync::Ordering;
use crate::token::{Chain, Token};

/// Longest time that a turn may go on beginning messages, in nanoseconds.
const TURN_NS: u64 = 500_000;
/// Samples gathered before they are entered.
const GATHER: usize = 64;

/// What the host does after a turn.
pub(super) enum Turn {
    /// More to do: let others run, then go on.
    Again,
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

/// What a turn gathers.
struct Gathered {
    samples: Vec<Sample>,
    tally: Tally,
    free: Chain,
    lane: Option<Rc<Hold>>,
}

thread_local! {
    /// The memory of a turn's samples, one for all turns of a thread.
    static SAMPLES: Cell<Vec<Sample>> = const { Cell::new(Vec::new()) };
}

impl Gathered {
    fn new(lane: Option<Rc<Hold>>) -> Self {
        let mut samples = SAMPLES.try_with(Cell::take).unwrap_or_default();
        samples.reserve_exact(GATHER);
        Gathered {
            samples,
            tally: Tally::default(),
            free: Chain::new(),
            lane,
        }
    }

    #[inline]
    fn free<S>(&mut self, works: &Works<S>, mut envelope: Envelope<'_>) {
        if envelope.is_loaded() {
            // A message that no handler took; its own drop may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| envelope.clear()));
        }
        self.free
            .push_back(&works.shared.pool.links, envelope.into_token());
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        debug_assert!(self.samples.is_empty() && self.free.is_empty());
        let samples = std::mem::take(&mut self.samples);
        let _ = SAMPLES.try_with(|cell| cell.set(samples));
    }
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
        let turn = self.serve(&works, cx, &mut gathered);
        self.enter(&works, &mut gathered);
        self.wake_those_who_wait(&works, matches!(turn, Turn::Again));
        drop(serving);
        self.works = Some(works);
        turn
    }

    fn serve(&mut self, works: &Works<S>, cx: &mut Context<'_>, gathered: &mut Gathered) -> Turn {
        let slice = works.mounted.slice.load(Ordering::Relaxed);
        let mut begun = 0;
        let mut first: Option<Stamp> = None;
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
                match self.rest(works, cx) {
                    Some(turn) => return turn,
                    None => continue,
                }
            };
            begun += 1;
            let started = self.begin(works, token, gathered);
            let first = *first.get_or_insert(started);
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

    /// Nothing is left: sleeps, or ends; `None` if something came meanwhile.
    fn rest(&mut self, works: &Works<S>, cx: &mut Context<'_>) -> Option<Turn> {
        if self.order == Order::Drain {
            return Some(Turn::Over);
        }
        let seat = &works.mounted.seat;
        seat.waker.register(cx.waker());
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
                envelope.put(Failure::Expired);
            }
            self.close(works, envelope, Ending::Expired, gathered);
            return started;
        }
        if head.table != works.mounted.map.id {
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
                if let Some(text) = text {
                    works.mounted.note_failure(text.into());
                }
                Ending::Failed
            }
        };
        self.sample(works, &envelope, started, gathered);
        self.close(works, envelope, ending, gathered);
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
        self.sample(works, &envelope, started, gathered);
        // The subsystem is there again before the asker hears of it.
        self.restart(works);
        if envelope.head().is_ask {
            envelope.put(Failure::Panicked(message));
        }
        self.close(works, envelope, Ending::Failed, gathered);
    }

    /// Ends a handler under way because the system's deadline has passed.
    #[cold]
    fn cut_off(&mut self, works: &Works<S>, service: InService, gathered: &mut Gathered) {
        let shared = &works.shared;
        let mut envelope = Envelope::new(&shared.pool.slab, service.token);
        let _ = catch_unwind(AssertUnwindSafe(|| self.runner.clear()));
        self.sample(works, &envelope, service.started, gathered);
        if envelope.head().is_ask {
            envelope.put(Failure::Unhandled);
        }
        self.close(works, envelope, Ending::Failed, gathered);
    }

    /// Ends a message that no handler takes.
    #[cold]
    fn reject(&mut self, works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered) {
        if envelope.head().is_ask {
            envelope.put(Failure::Unhandled);
        }
        self.close(works, envelope, Ending::Undeliverable, gathered);
    }

    #[inline]
    fn sample(
        &mut self,
        works: &Works<S>,
        envelope: &Envelope<'_>,
        started: Stamp,
        gathered: &mut Gathered,
    ) {
        if gathered.samples.len() == GATHER {
            self.enter(works, gathered);
        }
        let head = envelope.head();
        gathered.samples.push(Sample {
            route: head.route,
            sent: Stamp(head.sent),
            started,
            ended: works.shared.clock.now(),
        });
    }

    /// The last step of every message: hands the reply over, or returns the envelope.
    #[inline]
    fn close(
        &mut self,
        works: &Works<S>,
        envelope: Envelope<'_>,
        ending: Ending,
        gathered: &mut Gathered,
    ) {
        gathered.tally.add(ending);
        if !envelope.head().is_ask {
            return gathered.free(works, envelope);
        }
        self.enter(works, gathered);
        let slot = envelope.reply_slot();
        let index = envelope.into_token().surrender();
        if !slot.reply() {
            // The asker has gone. Otherwise it mints the token again.
            let token = Token::mint(index);
            gathered.free(works, Envelope::new(&works.shared.pool.slab, token));
        }
    }

    /// Enters what was gathered: first the samples, then the endings, then the envelopes. A message
    /// that counts as ended is recorded; a free envelope's message counts as ended.
    fn enter(&mut self, works: &Works<S>, gathered: &mut Gathered) {
        let shared = &works.shared;
        if !gathered.samples.is_empty() {
            works
                .mounted
                .book(&shared.directory)
                .enter(&shared.clock, &gathered.samples);
            gathered.samples.clear();
        }
        let seat = &works.mounted.seat;
        let ended = seat.endings.enter(&mut gathered.tally);
        if ended > 0 {
            seat.make_room(ended as usize);
        }
        if !gathered.free.is_empty() {
            let free = std::mem::replace(&mut gathered.free, Chain::new());
            self.owed += free.len() as usize;
            match &gathered.lane {
                Some(hold) => shared.pool.release(&hold.lane, free),
                None => shared
                    .pool
                    .with_lane(|lane| shared.pool.release(lane, free)),
            }
        }
    }

    /// Wakes senders that wait for envelopes. While this host goes on working it lets a quarter of the
    /// pool come together first, so that a sender woken finds room for more than one message.
    fn wake_those_who_wait(&mut self, works: &Works<S>, goes_on: bool) {
        if self.owed == 0 {
            return;
        }
        let pool = &works.shared.pool;
        if !pool.room.any() {
            self.owed = 0;
        } else if !goes_on || self.owed >= pool.capacity() as usize / 4 {
            pool.room.wake(self.owed);
            self.owed = 0;
        }
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
        let mut gathered = Gathered::new(None);
        if let Some(service) = self.in_service.take() {
            self.cut_off(&works, service, &mut gathered);
        }
        loop {
            while let Some(token) = self.backlog.pop_front(&shared.pool.links) {
                self.reject(
                    &works,
                    Envelope::new(&shared.pool.slab, token),
                    &mut gathered,
                );
            }
            match works.mounted.seat.inbox.close(&shared.pool.links) {
                Some(taken) => self.account(&works, taken),
                None => break,
            }
        }
        self.enter(&works, &mut gathered);
        self.wake_those_who_wait(&works, false);
        // Senders that wait for room in this mailbox must learn that there will be none.
        works.mounted.seat.make_room(usize::MAX);
        let state = self.state.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(state))) {
            let message = panic_message(panic);
            works.mounted.note_failure(
                format!("the subsystem panicked while it was dropped: {message}").into(),
            );
        }
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(());
        }
    }
}
