//! What a turn gathers: samples, endings, free envelopes. `turn → `**`batch`**` → latency, ledger, pool`
//!
//! They are entered at the turn's end in one go, and before every reply, so that an asker who looks
//! finds its own message in the books. (To record each message at once was measured too, and is
//! slower, for the processor must then wait for each reading of the clock.)

use super::HostEnv;
use super::ends::empty;
use super::stamp_run::StampRun;
use crate::base::clock::Stamp;
use crate::base::sim::{self, Point};
use crate::books::latency::Sample;
use crate::envelope::Envelope;
use crate::envelope::token::Chain;
use crate::thread::Local;
use crate::words::ledger::{Ending, Tally};

/// Longest that envelopes may be free, in nanoseconds of handling, before a waiting sender is woken.
const PATIENCE_NS: u64 = 100_000;

/// Samples gathered before they are entered.
const GATHER: usize = 64;

/// What a turn gathers.
pub(super) struct TurnBatch<'l> {
    /// Of a turn's only message, while `has_one`; most turns of a subsystem that is not pressed have one.
    /// (As an `Option` it would be moved about, and a move reads at once what was written in parts: the
    /// processor waits 5 ns for that.)
    one: Sample,
    has_one: bool,
    /// Of several.
    samples: Vec<Sample>,
    tally: Tally,
    free: Chain,
    /// When the turn's first message began; 0 before.
    first: Stamp,
    /// Until when the turn may go on beginning messages; 0 before the first.
    pub(super) until: Stamp,
    /// Where stamps are shared.
    pub(super) alike: StampRun,
    pub(super) local: &'l Local,
}

impl<'l> TurnBatch<'l> {
    pub(super) fn new(local: &'l Local) -> Self {
        TurnBatch {
            one: Sample::NONE,
            has_one: false,
            samples: Vec::new(),
            tally: Tally::default(),
            free: Chain::new(),
            first: Stamp(0),
            until: Stamp(0),
            alike: StampRun::new(),
            local,
        }
    }

    /// To be called when a message begins after [`until`](Self::until). The first starts the turn's time and
    /// returns false; a later one returns true: the time is over.
    #[cold]
    pub(super) fn begin(&mut self, started: Stamp, turn_limit: u64) -> bool {
        if self.first.0 != 0 {
            return true;
        }
        self.first = started;
        self.until = Stamp(started.0.saturating_add(turn_limit));
        false
    }

    #[inline(always)]
    fn free<S>(&mut self, env: &HostEnv<S>, mut envelope: Envelope<'_>) {
        if envelope.is_loaded() {
            empty(&mut envelope);
        }
        self.free
            .push_back(&env.shared.pool.links, envelope.into_token());
    }

    /// Notes how long a message took whose handler ends now.
    #[inline(always)]
    pub(super) fn sample<S>(&mut self, env: &HostEnv<S>, envelope: &Envelope<'_>, started: Stamp) {
        if self.alike.is_timed_with(started) {
            self.sample_alike(env, envelope);
            return self.end_alike(env);
        }
        let ended = env.shared.clock.now();
        self.local.latest.set(ended);
        let head = envelope.head();
        self.push(env, head.route, Stamp(head.sent), started, ended);
    }

    /// Keeps a sample. Its parts come one by one: put together before the room is looked for, it would be
    /// written to memory twice, and read in between.
    #[inline(always)]
    pub(super) fn push<S>(
        &mut self,
        env: &HostEnv<S>,
        route: u16,
        sent: Stamp,
        started: Stamp,
        ended: Stamp,
    ) {
        if self.samples.len() < self.samples.capacity() {
            self.samples.push(Sample {
                route,
                sent,
                started,
                ended,
            });
        } else {
            self.make_room(env, route, sent, started, ended);
        }
    }

    /// How many samples there are.
    pub(super) fn sample_count(&self) -> usize {
        self.samples.len() + usize::from(self.has_one)
    }

    /// The samples from that one on.
    pub(super) fn samples_from(&mut self, from: usize) -> impl Iterator<Item = &mut Sample> {
        let ones = usize::from(self.has_one);
        let one = std::slice::from_mut(&mut self.one).iter_mut().take(ones);
        one.chain(&mut self.samples).skip(from)
    }

    /// Sees to it that as many samples can be gathered without any being entered before.
    pub(super) fn keep_room<S>(&mut self, env: &HostEnv<S>, samples: usize) {
        if self.samples.len() + samples > self.samples.capacity() && !self.samples.is_empty() {
            self.enter(env);
        }
    }

    /// Keeps a sample for which there is no room.
    #[inline(never)]
    fn make_room<S>(
        &mut self,
        env: &HostEnv<S>,
        route: u16,
        sent: Stamp,
        started: Stamp,
        ended: Stamp,
    ) {
        let sample = Sample {
            route,
            sent,
            started,
            ended,
        };
        if self.samples.capacity() == 0 {
            if !self.has_one {
                self.one = sample;
                self.has_one = true;
                return;
            }
            // The thread's memory for samples; in a turn that was lent, another turn has it.
            self.samples = self.local.samples.take();
            if self.samples.capacity() == 0 {
                if self.local.agenda.depth() > 0 {
                    enter(env, std::slice::from_ref(&self.one));
                    self.one = sample;
                    return;
                }
                self.samples.reserve_exact(GATHER);
            }
            self.has_one = false;
            self.samples.push(self.one);
            self.samples.push(sample);
            return;
        }
        self.enter(env);
        self.samples.push(sample);
    }

    /// The last step of every message: hands the reply over, or keeps the envelope to be returned.
    #[inline(always)]
    pub(super) fn close<S>(&mut self, env: &HostEnv<S>, envelope: Envelope<'_>, ending: Ending) {
        self.tally.add(ending);
        if envelope.head().is_ask {
            self.answer(env, envelope);
        } else {
            self.free(env, envelope);
        }
    }

    #[inline(never)]
    fn answer<S>(&mut self, env: &HostEnv<S>, envelope: Envelope<'_>) {
        self.enter(env);
        let slot = envelope.reply_slot();
        let token = envelope.into_token();
        sim::preempt(Point::Reply);
        let pool = &env.shared.pool;
        if let Err(token) = slot.reply_and_wake(token, &pool.deferred) {
            // The asker has gone.
            self.free(env, Envelope::new(&pool.slab, token));
        }
    }

    fn enter_samples<S>(&mut self, env: &HostEnv<S>) {
        enter(env, &self.samples);
        self.samples.clear();
    }

    /// Enters what was gathered: first the samples, then the endings, then the envelopes. A message
    /// that counts as ended is recorded; a free envelope's message counts as ended.
    fn enter<S>(&mut self, env: &HostEnv<S>) {
        self.end_alike(env);
        if self.has_one {
            self.has_one = false;
            enter(env, std::slice::from_ref(&self.one));
        } else if !self.samples.is_empty() {
            self.enter_samples(env);
        }
        let mailbox = &env.mounted.mailbox;
        let ended = mailbox.endings.enter(&mut self.tally);
        sim::preempt(Point::Entered);
        if ended > 0 {
            mailbox.make_room(ended as usize);
        }
        if !self.free.is_empty() {
            let free = std::mem::replace(&mut self.free, Chain::new());
            let for_all = env.shared.pool.release(&self.local.lane, free);
            let owed = &self.local.owed;
            owed.set(owed.get() + for_all as usize);
        }
    }

    /// A host begins a turn; `went_on` says whether it had promised to come back.
    pub(super) fn begin_turn(&mut self, went_on: &mut bool) {
        if std::mem::take(went_on) {
            let going_on = &self.local.going_on;
            going_on.set(going_on.get() - 1);
        }
    }

    /// Ends a turn: enters what was gathered, and wakes senders that wait for envelopes.
    ///
    /// While any host of the thread goes on working, a quarter of the pool may come together first, or
    /// what [`PATIENCE_NS`] of handling sets free: a sender that is woken should find room for more
    /// than one message, for to wake it costs as much as to handle a hundred.
    pub(super) fn end_turn<S>(&mut self, env: &HostEnv<S>, goes_on: bool) {
        self.enter(env);
        let local = self.local;
        if goes_on {
            local.going_on.set(local.going_on.get() + 1);
        }
        let owed = local.owed.get();
        if owed == 0 {
            return;
        }
        sim::preempt(Point::Freed);
        let pool = &env.shared.pool;
        let are_awaited = pool.room.any();
        if are_awaited {
            let turn_ns = match self.first.0 {
                0 => 0,
                _ => (env.shared.clock).between_ns(self.first, local.latest.get()),
            };
            let busy_ns = local.busy_ns.get() + turn_ns;
            let many = owed >= pool.capacity() as usize / 4;
            if local.going_on.get() > 0 && !many && busy_ns < PATIENCE_NS {
                local.busy_ns.set(busy_ns);
                return;
            }
        }
        local.owed.set(0);
        local.busy_ns.set(0);
        if are_awaited {
            pool.room.wake(owed, &pool.deferred);
        }
    }
}

#[inline(never)]
fn enter<S>(env: &HostEnv<S>, samples: &[Sample]) {
    env.mounted.record(&env.shared.clock, samples);
}

impl Drop for TurnBatch<'_> {
    fn drop(&mut self) {
        let is_empty = !self.has_one && self.samples.is_empty() && self.free.is_empty();
        debug_assert!(is_empty || std::thread::panicking());
        if self.samples.capacity() > 0 {
            self.local.samples.set(std::mem::take(&mut self.samples));
        }
    }
}
