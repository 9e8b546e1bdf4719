//! Outcomes: what a run has measured.

use std::time::{Duration, Instant};

use examples_lib::{heap, interrupt, memory};
use mycelia::observe::{Ledger, PoolStats, RouteLatency, Snapshot};
use mycelia::prelude::*;

use crate::pace::Pace;
use crate::plan::Plan;
use crate::senders::Expected;
use crate::subsystems::{Api, Checksum, Db};
use crate::target::{QUERY, USERS};

/// What is read at one end of the measured part, when nothing is in flight.
pub(crate) struct Reading {
    resident: Option<u64>,
    ledger: Ledger,
    pool: PoolStats,
    allocations: u64,
    control: u64,
    took: Duration,
}

impl Reading {
    /// At the start: the clock is read last.
    pub(crate) fn first(system: &System, pace: &Pace, control: u64) -> Self {
        let snapshot = system.snapshot();
        let resident = memory::resident();
        let allocations = heap::allocations();
        pace.start();
        Reading {
            resident,
            ledger: snapshot.total,
            pool: snapshot.pool,
            allocations,
            control,
            took: Duration::ZERO,
        }
    }

    /// At the end: the clock is read first.
    pub(crate) fn last(system: &System, pace: &Pace, control: u64) -> Self {
        let took = pace.finish(Instant::now());
        let allocations = heap::allocations();
        let resident = memory::resident();
        let snapshot = system.snapshot();
        Reading {
            resident,
            ledger: snapshot.total,
            pool: snapshot.pool,
            allocations,
            control,
            took,
        }
    }
}

/// What became of messages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    pub(crate) sent: u64,
    pub(crate) handled: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) expired: u64,
    pub(crate) undeliverable: u64,
    pub(crate) waiting: u64,
    pub(crate) refused: u64,
}

/// The envelopes, in the measured part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Envelopes {
    pub(crate) capacity: u64,
    /// Ever, the warm-up's included.
    pub(crate) created: u64,
    pub(crate) created_after_warm_up: u64,
    pub(crate) reused: u64,
    pub(crate) released: u64,
    pub(crate) high_water: u64,
    pub(crate) boxed: u64,
}

impl Envelopes {
    pub(crate) fn reuse_rate(&self) -> f64 {
        share(self.reused, self.created_after_warm_up + self.reused)
    }

    pub(crate) fn efficiency(&self) -> f64 {
        share(self.released, self.created_after_warm_up + self.reused)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Memory {
    pub(crate) fn growth(&self) -> i64 {
        self.end as i64 - self.start as i64
    }
}

/// Throughput over equal windows, in messages handled per second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stability {
    pub(crate) windows: usize,
    pub(crate) avg: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) sigma: f64,
}

impl Stability {
    fn of(windows: &[f64]) -> Self {
        if windows.is_empty() {
            return Stability::default();
        }
        let count = windows.len() as f64;
        let avg = windows.iter().sum::<f64>() / count;
        let variance = windows.iter().map(|x| (x - avg).powi(2)).sum::<f64>() / count;
        Stability {
            windows: windows.len(),
            avg,
            min: windows.iter().copied().fold(f64::INFINITY, f64::min),
            max: windows.iter().copied().fold(0.0, f64::max),
            sigma: variance.sqrt(),
        }
    }

    pub(crate) fn variability(&self) -> f64 {
        if self.avg > 0.0 {
            self.sigma / self.avg
        } else {
            0.0
        }
    }
}

/// What a run has measured.
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    /// Messages that the senders know they sent.
    pub(crate) sent: u64,
    /// Messages that the handlers themselves counted.
    pub(crate) calls: u64,
    pub(crate) took: Duration,
    pub(crate) paused: Duration,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocations: u64,
    pub(crate) envelopes: Envelopes,
    pub(crate) stability: Stability,
    pub(crate) routes: Vec<(&'static str, Option<RouteLatency>)>,
    /// The system's ledger when it had stopped.
    pub(crate) ledger: Ledger,
    /// Its measured part.
    pub(crate) account: Account,
    pub(crate) warm_up: u64,
    pub(crate) control: u64,
    pub(crate) checksums_agree: bool,
    pub(crate) wrong_replies: u64,
    pub(crate) is_interrupted: bool,
    /// A send that failed, or a stop that did not end everything.
    pub(crate) failure: Option<String>,
}

/// What else [`Outcome::new`] is made of.
pub(crate) struct Ends {
    pub(crate) before: Reading,
    pub(crate) after: Reading,
    /// The account of the stop.
    pub(crate) last: Ledger,
    /// Messages of the program itself, those after the last reading included.
    pub(crate) control: u64,
}

impl Outcome {
    pub(crate) fn new(plan: Plan, pace: &Pace, ends: &Ends) -> Self {
        let Ends {
            before,
            after,
            last,
            control,
        } = ends;
        // All before the first reading was warm-up; what the program itself asked since, it knows.
        let (first, own) = (&before.ledger, control - before.control);
        let account = Account {
            sent: last.sent - first.sent - own,
            handled: (last.handled - first.handled).saturating_sub(own),
            failed: last.failed - first.failed,
            dropped: last.dropped - first.dropped,
            expired: last.expired - first.expired,
            undeliverable: last.undeliverable - first.undeliverable,
            waiting: last.waiting,
            refused: after.pool.refused - before.pool.refused,
        };
        Outcome {
            plan,
            sent: 0,
            calls: 0,
            took: after.took,
            paused: pace.paused(),
            memory: before
                .resident
                .zip(after.resident)
                .map(|(start, end)| Memory { start, end }),
            allocations: after.allocations - before.allocations,
            envelopes: Envelopes {
                capacity: after.pool.capacity,
                created: after.pool.created,
                created_after_warm_up: after.pool.created - before.pool.created,
                reused: after.pool.reused - before.pool.reused,
                released: after.pool.released - before.pool.released,
                high_water: after.pool.high_water,
                boxed: after.pool.boxed - before.pool.boxed,
            },
            stability: Stability::of(&pace.windows()),
            routes: Vec::new(),
            ledger: *last,
            account,
            warm_up: first.sent - before.control,
            control: *control,
            checksums_agree: false,
            wrong_replies: 0,
            is_interrupted: interrupt::is_wanted(),
            failure: pace.failure(),
        }
    }

    /// Beside what the senders know, what the subsystems have found.
    pub(crate) fn compare(&mut self, expected: &Expected, found: [Checksum; 2]) {
        self.sent = expected.sent.iter().sum();
        self.calls = found.iter().map(|checksum| checksum.handled).sum();
        self.checksums_agree = found.map(|checksum| checksum.sum) == expected.sums;
        self.wrong_replies = expected.wrong_replies;
    }

    /// The latencies of the two routes that are measured. Each subsystem is the only one of its kind.
    pub(crate) fn latencies_of(&mut self, snapshot: &Snapshot) {
        let kinds = [
            (USERS, snapshot.kind::<Api>()),
            (QUERY, snapshot.kind::<Db>()),
        ];
        let latencies = kinds.map(|(path, kind)| {
            let pattern = path.split_once("://").map_or(path, |(_, pattern)| pattern);
            (path, kind.and_then(|kind| kind.latency(pattern)))
        });
        self.routes = latencies.to_vec();
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.account.handled as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Throughput without the pauses between bursts.
    pub(crate) fn per_second_busy(&self) -> f64 {
        let busy = self.took.saturating_sub(self.paused);
        self.account.handled as f64 / busy.as_secs_f64().max(1e-9)
    }

    pub(crate) fn allocations_per_message(&self) -> f64 {
        self.allocations as f64 / self.account.sent.max(1) as f64
    }

    /// Messages whose latency was recorded.
    pub(crate) fn recorded(&self) -> u64 {
        let recorded = self.routes.iter().filter_map(|(_, latency)| *latency);
        recorded.map(|latency| latency.count).sum()
    }
}
