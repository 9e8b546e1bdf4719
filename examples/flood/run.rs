//! Runs: a producer and a slow handler, for a time, under one policy.
//!
//! A message is a kilobyte, so that one that is kept somewhere shows in the memory of the process, and
//! counts for itself how it ends: in a handler, back with the producer, or dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use examples_lib::progress::Progress;
use examples_lib::{interrupt, memory, program};
use mycelia::observe::Ledger;
use mycelia::prelude::*;

use crate::options::{Options, Policy};

/// The part of the time after which memory is first looked at.
const WARM_UP: f64 = 0.1;

/// How messages ended, by their own account.
#[derive(Default)]
struct Counts {
    handled: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    /// Handled after a later one.
    disorders: AtomicU64,
}

enum Stage {
    UnderWay,
    Over,
}

#[derive(Message)]
struct Job {
    number: u64,
    load: Box<[u8; 1024]>,
    counts: Arc<Counts>,
    stage: Stage,
}

impl Job {
    fn end(mut self, counter: &AtomicU64) {
        self.stage = Stage::Over;
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Stage::UnderWay = self.stage {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Subsystem)]
#[subsystem(name = "work")]
struct Work {
    busy: Duration,
    next: u64,
}

#[routes]
impl Work {
    #[route("job")]
    fn job(&mut self, job: Job, State(counts): State<Counts>) {
        let until = Instant::now() + self.busy;
        while Instant::now() < until {
            std::hint::black_box(&job.load);
            std::hint::spin_loop();
        }
        let is_late = u64::from(job.number < self.next);
        counts.disorders.fetch_add(is_late, Ordering::Relaxed);
        self.next = job.number + 1;
        job.end(&counts.handled);
    }
}

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) policy: Policy,
    /// How long messages were offered.
    pub(crate) took: Duration,
    pub(crate) offered: u64,
    /// Handled while messages were offered.
    pub(crate) handled_meanwhile: u64,
    pub(crate) handled: u64,
    pub(crate) dropped: u64,
    pub(crate) refused: u64,
    pub(crate) disorders: u64,
    pub(crate) ledger: Ledger,
    pub(crate) dead_letters: u64,
    /// Most messages that were seen to wait.
    pub(crate) most_waiting: u64,
    /// Resident memory after the warm-up, at the end, and the most in between.
    pub(crate) memory: Option<[u64; 3]>,
    /// What was wrong with the stop.
    pub(crate) stop: Option<String>,
}

impl Outcome {
    pub(crate) fn offered_per_second(&self) -> f64 {
        self.offered as f64 / self.took.as_secs_f64().max(1e-9)
    }

    pub(crate) fn handled_per_second(&self) -> f64 {
        self.handled_meanwhile as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// How many times as fast as the handler the producer was.
    pub(crate) fn times(&self) -> f64 {
        self.offered as f64 / self.handled_meanwhile.max(1) as f64
    }

    /// Bytes by which the process has grown since the warm-up.
    pub(crate) fn growth(&self) -> Option<i64> {
        let [start, end, _] = self.memory?;
        Some(end as i64 - start as i64)
    }
}

/// Floods a subsystem under a policy.
///
/// # Errors
/// The system does not start, or a thread is not given.
pub(crate) async fn run(options: &Options, policy: Policy) -> anyhow::Result<Outcome> {
    let counts = Arc::new(Counts::default());
    let system = System::builder()
        .name("flood")
        .threads(1)
        // Twice as many: the last ones are kept for subsystems that hold few, and the mailbox must get full.
        .pool(options.capacity as usize * 2)
        .shared_state(counts.clone())
        .start()
        .await?;
    let busy = options.work();
    let mount = MountOptions::new()
        .capacity(options.capacity)
        .overflow(policy.overflow());
    let factory = move || Work { busy, next: 0 };
    system.mount_with(mount, factory).await?;

    let (begun, duration) = (Instant::now(), options.duration());
    let done = move || begun.elapsed().as_secs_f64() / duration.as_secs_f64();
    let progress = Progress::show(policy.name().to_owned(), done);
    let producer = produce(&system, &counts, begun + duration, options.rate())?;
    let (mut first, mut most, mut most_waiting) = (None, None, 0);
    while !producer.is_finished() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if done() >= WARM_UP {
            let now = memory::resident();
            first = first.or(now);
            most = most.max(now);
        }
        most_waiting = most_waiting.max(system.snapshot().total.waiting);
    }
    let offered = program::join(producer);
    let took = begun.elapsed();
    let handled_meanwhile = counts.handled.load(Ordering::Relaxed);
    let last = memory::resident();
    drop(progress);

    let (ledger, stop) = program::stop(&system).await;
    let dead_letters = system.snapshot().dead_letters;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let memory = (first.zip(last).zip(most)).map(|((first, last), most)| [first, last, most]);
    Ok(Outcome {
        policy,
        took,
        offered,
        handled_meanwhile,
        handled: read(&counts.handled),
        dropped: read(&counts.dropped),
        refused: read(&counts.refused),
        disorders: read(&counts.disorders),
        ledger,
        dead_letters,
        most_waiting,
        memory,
        stop,
    })
}

/// Offers messages at a rate on a thread of its own; how many it offered.
fn produce(
    system: &System,
    counts: &Arc<Counts>,
    until: Instant,
    rate: f64,
) -> anyhow::Result<std::thread::JoinHandle<u64>> {
    let work = system.route::<Job>("work://job")?;
    let counts = counts.clone();
    let produce = async move {
        let begun = Instant::now();
        let mut offered = 0;
        loop {
            let now = Instant::now();
            if now >= until || interrupt::is_wanted() {
                return offered;
            }
            let due = ((now - begun).as_secs_f64() * rate) as u64;
            if offered >= due {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            // Not the whole arrears at once: the end may come meanwhile.
            let from = offered;
            for number in from..due.min(from + 100) {
                let job = Job {
                    number,
                    load: Box::new([number as u8; 1024]),
                    counts: counts.clone(),
                    stage: Stage::UnderWay,
                };
                offered += 1;
                if let Err(refused) = work.tell(job).await {
                    refused.into_message().end(&counts.refused);
                }
            }
        }
    };
    program::spawn("flood-producer", produce)
}
