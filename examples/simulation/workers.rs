//! The workers: threads that take one seed after the other. Each has its own simulation.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mycelia_test::Plant;

use crate::model::{self, Sum};

/// Simulated threads that get in between each other do so on one stack.
const STACK: usize = 64 << 20;
/// Longest that one seed may take: some thousand times what it does.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    seeds: Range<u64>,
    next: AtomicU64,
    is_ending: AtomicBool,
    plant: Option<Plant>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    passed: u64,
    sum: Sum,
    /// The seed that each worker is at, since when.
    at: Vec<Option<(u64, Instant)>>,
    failure: Option<Failure>,
}

/// A seed that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) text: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, worker: usize) {
        while !self.is_ending.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.seeds.end {
                return;
            }
            self.state().at[worker] = Some((seed, Instant::now()));
            let run = AssertUnwindSafe(|| model::simulate(seed, self.plant, false));
            let text = match catch_unwind(run) {
                Ok(Ok(outcome)) => {
                    let mut state = self.state();
                    state.passed += 1;
                    state.sum += outcome.value;
                    state.at[worker] = None;
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("seed {seed} failed: the simulation itself panicked"),
            };
            self.is_ending.store(true, Ordering::Relaxed);
            let mut state = self.state();
            state.at[worker] = None;
            // Of two at once the smaller one is the first.
            if (state.failure.as_ref()).is_none_or(|failure| seed < failure.seed) {
                state.failure = Some(Failure { seed, text });
            }
        }
    }
}

impl Workers {
    pub(crate) fn start(seeds: Range<u64>, workers: usize, plant: Option<Plant>) -> Self {
        let workers = workers.max(1);
        let shared = Arc::new(Shared {
            next: AtomicU64::new(seeds.start),
            seeds,
            is_ending: AtomicBool::new(false),
            plant,
            state: Mutex::new(State {
                at: vec![None; workers],
                ..State::default()
            }),
        });
        let start = |worker| {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(model::WORKER.into())
                .stack_size(STACK)
                .spawn(move || shared.work(worker))
                .expect("the operating system has a thread for each worker")
        };
        let threads = (0..workers).map(start).collect();
        Workers { shared, threads }
    }

    pub(crate) fn stop_on_ctrl_c(&self) -> Result<(), ctrlc::Error> {
        let shared = self.shared.clone();
        ctrlc::set_handler(move || shared.is_ending.store(true, Ordering::Relaxed))
    }

    /// How many seeds have passed, and what came of them.
    pub(crate) fn sum(&self) -> (u64, Sum) {
        let state = self.shared.state();
        (state.passed, state.sum)
    }

    pub(crate) fn seeds(&self) -> u64 {
        self.shared.seeds.end - self.shared.seeds.start
    }

    pub(crate) fn have_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// The seed that failed, or one that has taken far too long: its thread can't be ended.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let state = self.shared.state();
        let stuck = (state.at.iter().flatten()).find(|(_, since)| since.elapsed() > LIMIT);
        let stuck = stuck.map(|(seed, _)| Failure {
            seed: *seed,
            text: format!("seed {seed} failed: it goes round without end, for {LIMIT:?} now"),
        });
        state.failure.clone().or(stuck)
    }
}

/// Runs something on a stack like those of the workers.
pub(crate) fn on_a_large_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let large = std::thread::Builder::new()
            .name(model::WORKER.into())
            .stack_size(STACK);
        let thread = large
            .spawn_scoped(scope, run)
            .expect("the operating system has one more thread");
        match thread.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
