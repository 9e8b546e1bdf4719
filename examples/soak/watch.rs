//! The watch: sixty looks at what goes on, and what became of everything in the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use examples_lib::program::{self, spawn};
use examples_lib::{interrupt, memory};
use mycelia::observe::Ledger;
use mycelia::prelude::*;

use crate::load::{self, Sent};
use crate::options::Options;
use crate::report;
use crate::scene::{self, Notes};

/// Looks in all.
pub(crate) const LOOKS: u32 = 60;

/// What was seen at one look, of the time since the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) at: Duration,
    /// Messages that were accepted, of all so far.
    pub(crate) messages: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) resident: Option<u64>,
    pub(crate) restarts: u64,
    pub(crate) mounts: u64,
    pub(crate) waiting: u64,
    pub(crate) ledger_closes: bool,
}

/// What the run came to.
pub(crate) struct Outcome {
    pub(crate) looks: Vec<Look>,
    pub(crate) took: Duration,
    pub(crate) ledger: Ledger,
    pub(crate) handled: u64,
    pub(crate) failed: u64,
    pub(crate) ticks: u64,
    pub(crate) items: u64,
    pub(crate) restarts: u64,
    pub(crate) mounts: u64,
    pub(crate) refused: u64,
    /// Messages that this program knows were accepted: not those of desk, timers and streams.
    pub(crate) sent: u64,
    /// What was wrong with the stop.
    pub(crate) stop: Option<String>,
}

/// Runs the load for its time.
///
/// # Errors
/// The system does not start, or a thread is not given.
pub(crate) async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let notes = Arc::new(Notes::new()?);
    let system = scene::start(options.threads, &notes).await?;
    let sent = Arc::new(Sent::default());
    let threads = [
        spawn(
            "soak-sender",
            load::send(system.clone(), sent.clone(), options.rate),
        )?,
        spawn(
            "soak-disturber",
            load::disturb(system.clone(), sent.clone()),
        )?,
    ];

    let (begun, duration) = (Instant::now(), options.duration());
    let mut looks = Vec::new();
    for number in 1..=LOOKS {
        let due = duration * number / LOOKS;
        while begun.elapsed() < due && !interrupt::is_wanted() {
            let left = due.saturating_sub(begun.elapsed());
            tokio::time::sleep(left.min(Duration::from_millis(100))).await;
        }
        if interrupt::is_wanted() {
            break;
        }
        let look = look(&system, &notes, &sent, begun.elapsed());
        report::look(&look);
        looks.push(look);
    }
    sent.ends.store(true, Ordering::Relaxed);
    for thread in threads {
        // An ask of theirs may wait for as long as an ask may.
        program::join(thread);
    }
    let took = begun.elapsed();
    let (ledger, stop) = program::stop(&system).await;
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Outcome {
        looks,
        took,
        ledger,
        handled: read(&notes.handled),
        failed: read(&notes.failed),
        ticks: read(&notes.ticks),
        items: read(&notes.items),
        restarts: read(&notes.restarts),
        mounts: read(&sent.mounts),
        refused: read(&sent.refused),
        sent: read(&sent.told) + read(&sent.asked),
        stop,
    })
}

fn look(system: &System, notes: &Notes, sent: &Sent, at: Duration) -> Look {
    let [p50_ns, p99_ns, p999_ns] = notes.take_waits();
    let ledger = system.snapshot().total;
    Look {
        at,
        messages: ledger.sent,
        p50_ns,
        p99_ns,
        p999_ns,
        resident: memory::resident(),
        restarts: notes.restarts.load(Ordering::Relaxed),
        mounts: sent.mounts.load(Ordering::Relaxed),
        waiting: ledger.waiting,
        ledger_closes: ledger.closes(),
    }
}
