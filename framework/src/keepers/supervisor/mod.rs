//! The supervisor: the actor that watches. It never stands in a message's way.
//!
//! It plays the global scheduler: every tick it shows the loads to the [`strategy`] and writes the
//! slices that the hosts obey. It reminds askers of their deadline, and ends waits for envelopes and
//! for threads that could never end. And it reads the
//! books: ledgers, latencies, pool, as a [`snapshot`]. Ticks come every 10 ms while something goes on
//! and ever more rarely, down to one in 640 ms, while nothing does.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub(crate) mod snapshot;
pub(crate) mod strategy;
pub(crate) mod adaptive;
mod stuck;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::base::sim::{self, Point};
use crate::base::sync::{Ordering, lock};
use crate::base::user_code::{Contained, contain};
use crate::mailbox::{Mailbox, MailboxId};
use crate::runtime::deadlock::hopeless::Hopeless;
use crate::runtime::shared::Shared;
use crate::words::slice::Slice;
use strategy::{Load, RoundRobin, Strategy};
use stuck::StuckWatch;

const TICK: Duration = Duration::from_millis(10);
const SLOWEST: Duration = Duration::from_millis(640);
/// A tick that took long is followed by a pause of this many times its length: with thousands of
/// subsystems the supervisor takes 2 % of its thread, not all of it.
const COST: u32 = 50;

/// How much too late an asker without a timer of its own may learn that its deadline has passed: this
/// part of it, but no less than a tick.
const ROUGHNESS: u32 = 50;

/// The supervisor actor of a system.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    /// Between two looks for askers whose deadline has passed; `None` if asks have none by default.
    reminders: Option<Duration>,
    reminded: Instant,
    strategy: Contained<Box<dyn Strategy>>,
    interval: Duration,
    slowest: Duration,
    loads: Vec<Load>,
    slices: Vec<Slice>,
    suspect: Option<(Hopeless, u64)>,
    stuck: StuckWatch,
}

/// Changes the strategy.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Use(pub(crate) Contained<Box<dyn Strategy>>);

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>, strategy: Contained<Box<dyn Strategy>>) -> Self {
        let deadline = shared.patience.deadline;
        // A manual clock's hand may be turned at any time, and all deadlines hang on the reminders.
        let is_manual = shared.clock.is_manual();
        let reminders = match deadline {
            _ if is_manual => Some(TICK),
            deadline => deadline.map(|deadline| {
                let rough = deadline.checked_div(ROUGHNESS);
                rough.unwrap_or_default().max(TICK)
            }),
        };
        let mut supervisor = Supervisor {
            shared,
            reminders,
            reminded: Instant::now(),
            strategy: round_robin(),
            interval: TICK,
            slowest: if is_manual { TICK } else { SLOWEST },
            loads: Vec::new(),
            slices: Vec::new(),
            suspect: None,
            stuck: StuckWatch::default(),
        };
        supervisor.follow(strategy);
        supervisor
    }

    /// Follows another strategy from now on. It is the user's: what it does must not end the watch.
    fn follow(&mut self, strategy: Contained<Box<dyn Strategy>>) {
        let name = contain(|| strategy.name());
        *lock(&self.shared.strategy) = name.unwrap_or("nameless");
        self.strategy = strategy;
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let begun = Instant::now();
        self.shared.begin_tick();
        let goes_on = self.goes_on();
        sim::preempt(Point::Keeper);
        if goes_on {
            self.schedule();
        }
        // Also for askers of what is being unmounted, and so is nowhere to be found.
        let is_asked = self.shared.pool.in_flight() > 0;
        if goes_on || is_asked {
            self.remind(begun);
        }
        let waits = self.end_hopeless_waits() | self.look_after_waiters();
        let waits = waits | self.stuck.look(&self.shared);
        self.interval = if goes_on || waits {
            TICK.max(begun.elapsed().saturating_mul(COST))
        } else {
            let slowest = match self.reminders {
                Some(reminders) if is_asked => self.slowest.min(reminders),
                _ => self.slowest,
            };
            self.interval.saturating_mul(2).min(slowest)
        };
        ctx.run_later(self.interval, Self::tick);
    }

    /// Looks after senders that wait for room; true if there are any.
    fn look_after_waiters(&self) -> bool {
        let Shared {
            pool, directory, ..
        } = &*self.shared;
        let mut awaited = Vec::new();
        directory.for_each(|mounted| {
            if mounted.mailbox.is_awaited() {
                awaited.push(mounted.mailbox.clone());
            }
        });
        awaited.extend(directory.demand.mailboxes());
        let is_pool_awaited = pool.room.any();
        if awaited.is_empty() && !is_pool_awaited {
            return false;
        }
        // Their wakers are user code: no lock is held.
        let now = self.shared.clock.now();
        for mailbox in awaited {
            mailbox.look_after_waiters(now);
        }
        if is_pool_awaited {
            pool.look_after_waiters(now);
        }
        true
    }

    /// Wakes askers whose deadline has passed.
    fn remind(&mut self, now: Instant) {
        let Some(interval) = self.reminders else {
            return;
        };
        if now.duration_since(self.reminded) >= interval {
            self.reminded = now;
            self.shared.pool.remind(self.shared.clock.now());
        }
    }

    /// True if any message waits, or ended since the last look.
    fn goes_on(&self) -> bool {
        let mut goes_on = false;
        self.shared.directory.for_each(|mounted| {
            let mailbox = &mounted.mailbox;
            goes_on = goes_on
                || mailbox.waiting() > 0
                || mailbox.endings.finished() != mounted.seen.load(Ordering::Relaxed);
        });
        goes_on
    }

    /// Asks the strategy. Its lists are kept from tick to tick, so that watching allocates nothing.
    fn schedule(&mut self) {
        let (loads, slices) = (&mut self.loads, &mut self.slices);
        loads.clear();
        slices.clear();
        self.shared.directory.for_each(|mounted| {
            let mailbox = &mounted.mailbox;
            let finished = mailbox.endings.finished();
            let seen = mounted.seen.swap(finished, Ordering::Relaxed);
            let slice = mounted.slice.get();
            loads.push(Load {
                name: mailbox.name.clone(),
                thread: mounted.thread,
                weight: mounted.weight,
                waiting: mailbox.waiting(),
                ended: finished.saturating_sub(seen),
                wait_goal: mounted.wait_goal(),
                wait_p99: mounted.recent_wait_p99(),
                slice,
            });
            slices.push(slice);
        });
        if contain(|| self.strategy.slices(loads, slices)).is_err() {
            return self.follow(round_robin());
        }
        let mut at = 0;
        self.shared.directory.for_each(|mounted| {
            // Something may have been mounted or unmounted meanwhile; the next tick sees it.
            if let (Some(load), Some(slice)) = (loads.get(at), slices.get(at))
                && Arc::ptr_eq(&load.name, &mounted.mailbox.name)
            {
                mounted.slice.set(*slice);
            }
            at = at.saturating_add(1);
        });
    }

    /// Wakes senders that wait for an envelope and may have one of the reserve, and ends a wait that was
    /// found hopeless at two ticks, between which nothing moved: of those concerned, or nothing at all where
    /// all envelopes are. True if anyone waits for an envelope or for a thread.
    fn end_hopeless_waits(&mut self) -> bool {
        let shared = &self.shared;
        let some_go_on = shared.pool.reserve.tick();
        if !shared.waits.any_undecided() {
            self.suspect = None;
            return shared.pool.room.any();
        }
        let all = shared.directory.all_alive();
        let mailboxes = all.iter().map(|one| (one.mailbox.id, &one.mailbox));
        let mailboxes: FxHashMap<MailboxId, &Arc<Mailbox>> = mailboxes.collect();
        let waiting = |mailbox| {
            mailboxes
                .get(&mailbox)
                .map_or(0, |mailbox| mailbox.waiting())
        };
        let moved: u64 = all.iter().map(|m| m.mailbox.endings.finished()).sum();
        sim::preempt(Point::Keeper);
        let in_flight = u64::from(shared.pool.in_flight());
        // If one is free for a sender that waits, that is about to be woken. What else is free lies in the
        // reserve, and those who wait may not have it: they are as stuck as if it were gone.
        let some_go_on = some_go_on || shared.pool.has_free_in_lanes();
        let in_flight = (!some_go_on).then_some(in_flight);
        let holders = shared.blocking.holders();
        let found = (shared.waits).deadlocked(in_flight, waiting, holders.as_deref());
        self.suspect = match (found, self.suspect.take()) {
            (Some(now), Some((before, then)))
                if now == before && (moved == then || now.to_thread.is_some()) =>
            {
                if let Some(way) = &now.to_thread {
                    now.explain(self.cycle_of_threads(way, &holders.unwrap_or_default()));
                }
                now.declare();
                None
            }
            (found, _) => found.map(|found| (found, moved)),
        };
        true
    }

    /// Who waits for whom, if the last one of them waits for a thread for blocking handlers.
    fn cycle_of_threads(&self, way: &[MailboxId], holders: &[MailboxId]) -> Box<str> {
        let directory = &self.shared.directory;
        let held_by: Vec<_> = (holders.iter())
            .map(|mailbox| directory.names_of(&[*mailbox]))
            .collect();
        format!(
            "{} -> a thread for blocking handlers, all {} held by {}",
            directory.names_of(way),
            holders.len(),
            held_by.join(", "),
        )
        .into()
    }
}

/// What stands in for a strategy that fails.
fn round_robin() -> Contained<Box<dyn Strategy>> {
    Contained::new(Box::new(RoundRobin::default()))
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.tick(ctx);
    }
}

impl Handler<Use> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: Use, _: &mut Self::Context) {
        self.follow(message.0);
        self.schedule();
    }
}
