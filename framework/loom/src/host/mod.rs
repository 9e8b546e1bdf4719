//! The batch of a host's turn: the shipped file, with replacements for the modules that it uses.

mod stamp_run;
#[path = "../../../src/host/batch.rs"]
mod batch;

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Clock, ClockHand};
use crate::base::deferred::DeferredWakes;
use crate::books::latency::{Book, Sample, Totals};
use crate::envelope::mint;
use crate::envelope::pool::lane::Lane;
use crate::envelope::pool::waiters::Waiters;
use crate::envelope::token::{Chain, Links, Token};
use crate::envelope::{Envelope, Slab};
use crate::mailbox::{Limits, Mailbox};
use crate::runtime::shared::Shared;
use crate::thread::Local;
use crate::words::ledger::Ending;
use crate::words::overflow::Overflow;
use batch::TurnBatch;

/// Replaces the other ends of messages. No message of these models panics when it is dropped.
mod ends {
    use crate::envelope::Envelope;

    pub(super) fn empty(envelope: &mut Envelope<'_>) {
        envelope.clear();
    }
}

/// The environment of a subsystem's host.
pub(crate) struct HostEnv<S> {
    pub(crate) shared: House,
    pub(crate) mounted: Mounted,
    hand: ClockHand,
    _subsystem: std::marker::PhantomData<S>,
}

/// The part of the system that a host uses.
pub(crate) struct House {
    pub(crate) pool: Pool,
    pub(crate) clock: Clock,
}

/// The steps of the pool, with one lane: that of the host's thread.
pub(crate) struct Pool {
    pub(crate) slab: Slab,
    pub(crate) links: Links,
    pub(crate) lane: Arc<Lane>,
    pub(crate) room: Arc<Waiters>,
    pub(crate) deferred: Arc<DeferredWakes>,
}

impl Pool {
    /// Large enough that a few envelopes do not count as many.
    pub(crate) fn capacity(&self) -> u32 {
        64
    }

    fn release(&self, to: &Lane, chain: Chain) -> u32 {
        let count = chain.len();
        to.released.add(u64::from(count));
        to.stack.push(&self.links, chain);
        count
    }
}

pub(crate) struct Mounted {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) book: Book,
    pub(crate) totals: Totals,
}

impl Mounted {
    fn record(&self, clock: &Clock, samples: &[Sample]) {
        let batch = self.book.enter(clock, samples);
        self.totals.add(&batch, clock, samples);
    }
}

impl HostEnv<()> {
    /// Makes a host that holds all envelopes, this many. Senders wait for them in `senders`.
    pub(crate) fn with(envelopes: usize, are_asks: bool, senders: &Shared) -> Arc<Self> {
        let (clock, hand) = Clock::manual();
        let mailbox = Arc::new(Mailbox::new(1, "mailbox".into(), Arc::default()));
        let capacity = u32::MAX;
        let overflow = Overflow::Wait;
        mailbox.open(1, Limits { capacity, overflow });
        let pool = Pool {
            slab: Slab::new(envelopes, are_asks),
            links: Links::new(envelopes),
            lane: Arc::new(Lane::new()),
            room: senders.pool.room.clone(),
            deferred: senders.pool.deferred.clone(),
        };
        Arc::new(HostEnv {
            shared: House { pool, clock },
            mounted: Mounted {
                mailbox,
                book: Book::new(1),
                totals: Totals::default(),
            },
            hand,
            _subsystem: std::marker::PhantomData,
        })
    }

    /// Makes the host's thread.
    pub(crate) fn thread(&self) -> Local {
        Local::with(self.shared.pool.lane.clone())
    }

    /// Takes a turn that handles the messages in these envelopes. `went_on` says whether the host had promised
    /// this turn, `goes_on` whether it promises another.
    pub(crate) fn turn(&self, thread: &Local, handles: &[u32], went_on: bool, goes_on: bool) {
        let mut batch = TurnBatch::new(thread);
        batch.begin_turn(&mut { went_on });
        for &index in handles {
            let envelope = Envelope::new(&self.shared.pool.slab, mint(index));
            let started = self.shared.clock.now();
            self.hand.advance(Duration::from_nanos(1));
            batch.sample(self, &envelope, started);
            batch.close(self, envelope, Ending::Handled);
        }
        batch.end_turn(self, goes_on);
    }

    /// Looks for a free envelope.
    pub(crate) fn look(&self) -> Option<Token> {
        self.shared.pool.lane.stack.pop(&self.shared.pool.links)
    }
}
