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

/// Samples gathered before they are entered.
const GATHER: usize = 64;

/// What a turn gathers.
pub(super) struct Gathered {
    samples: Vec<Sample>,
    tally: Tally,
    free: Chain,
    /// Envelopes returned.
    pub(super) owed: usize,
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
            owed: 0,
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
        let head = envelope.head();
        self.samples.push(Sample {
            route: head.route,
            sent: Stamp(head.sent),
            started,
            ended: works.shared.clock.now(),
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
            self.owed += free.len() as usize;
            match &self.lane {
                Some(hold) => shared.pool.release(&hold.lane, free),
                None => shared
                    .pool
                    .with_lane(|lane| shared.pool.release(lane, free)),
            }
        }
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        debug_assert!(self.samples.is_empty() && self.free.is_empty());
        let samples = std::mem::take(&mut self.samples);
        let _ = SAMPLES.try_with(|cell| cell.set(samples));
    }
}
