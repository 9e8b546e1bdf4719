//! What a turn gathers: samples, endings, free envelopes. `turn → `**`gathered`**` → latency, ledger, pool`
//!
//! They are entered at the turn's end in one go, and before every reply, so that an asker who looks
//! finds its own message in the books.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::Works;
use crate::clock::Stamp;
use crate::envelope::Envelope;
use crate::latency::Sample;
use crate::ledger::{Ending, Tally};
use crate::pool::lane::Hold;
use crate::token::{Chain, Token};

/// Longest that envelopes may be free, in nanoseconds of handling, before a waiting sender is woken.
const PATIENCE_NS: u64 = 100_000;
/// Samples gathered before they are entered.
const GATHER: usize = 64;

/// What a turn gathers.
pub(super) struct Gathered {
    samples: Vec<Sample>,
    tally: Tally,
    free: Chain,
    /// When the turn's first message began.
    pub(super) first: Option<Stamp>,
    last: Stamp,
    lane: Option<Rc<Hold>>,
}

thread_local! {
    /// The memory of a turn's samples, one for all turns of a thread.
    static SAMPLES: Cell<Vec<Sample>> = const { Cell::new(Vec::new()) };
}

impl Gathered {
    pub(super) fn new(lane: Option<Rc<Hold>>) -> Self {
        let mut samples = SAMPLES.try_with(Cell::take).unwrap_or_default();
        samples.reserve_exact(GATHER);
        Gathered {
            samples,
            tally: Tally::default(),
            free: Chain::new(),
            first: None,
            last: Stamp(0),
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

    #[inline]
    pub(super) fn sample<S>(&mut self, works: &Works<S>, envelope: &Envelope<'_>, started: Stamp) {
        if self.samples.len() == GATHER {
            self.enter(works);
        }
        let ended = works.shared.clock.now();
        self.last = ended;
        let head = envelope.head();
        self.samples.push(Sample {
            route: head.route,
            sent: Stamp(head.sent),
            started,
            ended,
        });
    }

    /// The last step of every message: hands the reply over, or returns the envelope.
    #[inline]
    pub(super) fn close<S>(&mut self, works: &Works<S>, envelope: Envelope<'_>, ending: Ending) {
        self.tally.add(ending);
        if !envelope.head().is_ask {
            return self.free(works, envelope);
        }
        self.enter(works);
        let slot = envelope.reply_slot();
        let index = envelope.into_token().surrender();
        if !slot.reply() {
            // The asker has gone. Otherwise it mints the token again.
            let token = Token::mint(index);
            self.free(works, Envelope::new(&works.shared.pool.slab, token));
        }
    }

    /// Enters what was gathered: first the samples, then the endings, then the envelopes. A message
    /// that counts as ended is recorded; a free envelope's message counts as ended.
    pub(super) fn enter<S>(&mut self, works: &Works<S>) {
        let shared = &works.shared;
        if !self.samples.is_empty() {
            works
                .mounted
                .book(&shared.directory)
                .enter(&shared.clock, &self.samples);
            self.samples.clear();
        }
        let seat = &works.mounted.seat;
        let ended = seat.endings.enter(&mut self.tally);
        if ended > 0 {
            seat.make_room(ended as usize);
        }
        if !self.free.is_empty() {
            let free = std::mem::replace(&mut self.free, Chain::new());
            match &self.lane {
                Some(hold) => {
                    hold.owed.set(hold.owed.get() + free.len() as usize);
                    shared.pool.release(&hold.lane, free);
                }
                None => shared
                    .pool
                    .with_lane(|lane| shared.pool.release(lane, free)),
            }
        }
    }

    /// A host begins a turn; `went_on` says whether it had promised to come back.
    pub(super) fn begin_turn(&mut self, went_on: &mut bool) {
        if let Some(hold) = &self.lane
            && std::mem::take(went_on)
        {
            hold.going_on.set(hold.going_on.get() - 1);
        }
    }

    /// Ends a turn: enters what was gathered, and wakes senders that wait for envelopes.
    ///
    /// While any host of the thread goes on working, a quarter of the pool may come together first, or
    /// what [`PATIENCE_NS`] of handling sets free: a sender that is woken should find room for more
    /// than one message, for to wake it costs as much as to handle a hundred.
    pub(super) fn end_turn<S>(&mut self, works: &Works<S>, goes_on: bool) {
        self.enter(works);
        let pool = &works.shared.pool;
        let Some(hold) = &self.lane else {
            // The thread is ending.
            return pool.room.wake(usize::MAX);
        };
        if goes_on {
            hold.going_on.set(hold.going_on.get() + 1);
        }
        let owed = hold.owed.get();
        if owed == 0 {
            return;
        }
        if pool.room.any() {
            let first = self.first.unwrap_or(self.last);
            let busy_ns = hold.busy_ns.get() + works.shared.clock.between_ns(first, self.last);
            let many = owed >= pool.capacity() as usize / 4;
            if hold.going_on.get() > 0 && !many && busy_ns < PATIENCE_NS {
                hold.busy_ns.set(busy_ns);
                return;
            }
            pool.room.wake(owed);
        }
        hold.owed.set(0);
        hold.busy_ns.set(0);
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        debug_assert!(self.samples.is_empty() && self.free.is_empty());
        let samples = std::mem::take(&mut self.samples);
        let _ = SAMPLES.try_with(|cell| cell.set(samples));
    }
}
