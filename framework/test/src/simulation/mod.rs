//! Simulation: runs a whole system on one thread of the operating system. A seed decides what is otherwise
//! decided by chance, the scheduler and the clock.
//!
//! A [`thread`] is a tokio `LocalSet` with thread-locals of its own. The [`stage`] runs one thread after the
//! other. It also runs one in the middle of another, where the framework asks its chooser (`base/sim`). The idea
//! is FoundationDB's: Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key Value Store", 2021,
//! section 4; the swarm of likelihoods is from Groce et al., "Swarm Testing", 2012.

mod rng;
mod seeds;
mod thread;
mod time;
mod trace;
mod stage;

use std::cell::RefCell;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use rng::Rng;
pub use seeds::check_seeds;
pub use trace::Decision;

use mycelia::__test::{Ground, Plant, decide, panic_text, start_simulated};
use mycelia::error::StartError;
use mycelia::{Builder, System};

use stage::Stage;

/// A whole system on one thread of the operating system. A seed decides what is otherwise decided by chance, the
/// scheduler and the clock. A failure with one seed happens again with the same seed; [`check_seeds`] runs many
/// seeds.
///
/// Every thread of a system, and every client outside of it, becomes a *simulated thread*. Messages between them
/// take the same ways as in a real process. The seed chooses which thread runs next, where it is interrupted by
/// another, whose turn is cut short, and how much time passes. Otherwise time does not pass. When no thread has
/// anything to do, it jumps to the next timer: hours pass in milliseconds.
///
/// It has no control over what the code under test takes from elsewhere: random numbers (`tokio::select!` without
/// `biased` too), the wall clock, other threads. Blocking handlers (`#[route("…", blocking)]`) run on their
/// subsystem's own thread. Between two awaits a client or a handler is interrupted only where it sends. Threads
/// that interrupt each other share one stack: if handlers need much of it, give the test's thread more than 2 MB,
/// as [`check_seeds`] does.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia_test::Simulation;
/// use std::time::Duration;
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Add(u64);
///
/// #[derive(Subsystem, Default)]
/// struct Counter {
///     sum: u64,
/// }
///
/// #[routes]
/// impl Counter {
///     #[route("sum")]
///     async fn add(&mut self, Add(n): Add) -> u64 {
///         tokio::time::sleep(Duration::from_secs(60)).await;
///         self.sum += n;
///         self.sum
///     }
/// }
///
/// let outcome = Simulation::new(4711).threads(2).run(|sim| async move {
///     let system = sim.system(System::builder().ask_deadline(None)).await.unwrap();
///     system.mount(Counter::default).await.unwrap();
///     let teller = system.clone();
///     let told = sim.spawn(async move { teller.tell("counter://sum", Add(3)).await.is_ok() });
///     assert!(told.await.unwrap());
///     let sum = system.ask("counter://sum", Add(4)).await.unwrap();
///     system.stop().await.unwrap();
///     sum
/// });
/// let outcome = outcome.unwrap();
/// assert_eq!(outcome.value, 7);
/// assert!(outcome.took >= Duration::from_secs(120));
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `run`"]
pub struct Simulation {
    seed: u64,
    threads: usize,
    limit: Duration,
    most_steps: u64,
    keeps_trace: bool,
    plant: Option<Plant>,
}

/// The result of a simulation.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// The value that the scenario returned.
    pub value: T,
    /// A hash of all decisions: the same for the same seed, and different for others, except by accident.
    pub hash: u64,
    /// How often a thread was chosen to run.
    pub steps: u64,
    /// How much simulated time passed.
    pub took: Duration,
    /// The decisions, if [`trace`](Simulation::trace) is on.
    pub trace: Vec<Decision>,
}

/// How a simulation failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SimulationError {
    /// The seed. Another run with it fails in the same way.
    pub seed: u64,
    /// Why it failed.
    pub halt: Halt,
    /// As [`Outcome::hash`].
    pub hash: u64,
    /// As [`Outcome::trace`].
    pub trace: Vec<Decision>,
}

/// Why a simulation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt {
    /// The scenario, or a future given to [`spawn`](SimulationHandle::spawn), panicked with this text.
    Panicked(String),
    /// An envelope had two owners, or another invariant was broken.
    Violated(String),
    /// The scenario did not end, and no thread had anything to do until the [`limit`](Simulation::limit). The
    /// text lists what waited.
    Stalled(String),
    /// The scenario did not end, although threads went on running. The text lists what waited.
    Endless(String),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Panicked(text) => write!(f, "it panicked: {text}"),
            Halt::Violated(what) => write!(f, "{what}"),
            Halt::Stalled(report) => write!(f, "nothing goes on any more; {report}"),
            Halt::Endless(report) => write!(f, "it does not end; {report}"),
        }
    }
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} failed: {}", self.seed, self.halt)
    }
}

impl std::error::Error for SimulationError {}

impl Simulation {
    /// Makes a simulation with this seed.
    pub fn new(seed: u64) -> Self {
        Simulation {
            seed,
            threads: 2,
            limit: Duration::from_secs(600),
            most_steps: 1_000_000,
            keeps_trace: false,
            plant: None,
        }
    }

    /// Sets how many threads every system has for subsystems, whatever its builder says: at least 1. Default: 2.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets how much simulated time may pass before the simulation counts as hung. Default: 10 minutes.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how often a thread may be chosen to run before the simulation counts as endless. Default: a million
    /// times.
    pub fn most_steps(mut self, steps: u64) -> Self {
        self.most_steps = steps;
        self
    }

    /// Sets whether decisions are kept: the last 200,000. Default: no.
    pub fn trace(mut self, is_kept: bool) -> Self {
        self.keeps_trace = is_kept;
        self
    }

    /// Plants an error in the framework, to test that the simulation finds it.
    #[doc(hidden)]
    pub fn plant(mut self, plant: impl Into<Option<Plant>>) -> Self {
        self.plant = plant.into();
        self
    }

    /// Runs a scenario on the calling thread until it ends. Then drops all that it has left.
    ///
    /// # Errors
    /// If the scenario panicked or does not end, or an envelope had two owners.
    ///
    /// # Panics
    /// If it is called within an executor: call it from a plain `#[test]`.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(
        self,
        scenario: impl FnOnce(SimulationHandle) -> F,
    ) -> Result<Outcome<T>, SimulationError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without sockets needs nothing that could be lacking");
        runtime.block_on(async {
            let stage = Stage::new(&self);
            let before = decide(Some(stage.clone()));
            let handle = SimulationHandle {
                stage: stage.clone(),
                threads: self.threads,
            };
            let value = Rc::new(RefCell::new(None));
            let main = handle.guarded(scenario(handle.clone()));
            let keep = value.clone();
            stage.thread("main").spawn(async move {
                *keep.borrow_mut() = Some(main.await);
            });
            stage.run(|| value.borrow().is_some()).await;
            stage.dismantle();
            decide(before);
            let (hash, trace) = (stage.trace.hash(), stage.trace.take());
            match (stage.halted(), value.take()) {
                (None, Some(value)) => Ok(Outcome {
                    value,
                    hash,
                    trace,
                    steps: stage.steps.get(),
                    took: Duration::from_nanos(stage.time.ns()),
                }),
                (halt, _) => Err(SimulationError {
                    seed: self.seed,
                    halt: halt.unwrap_or(Halt::Stalled(String::new())),
                    hash,
                    trace,
                }),
            }
        })
    }
}

/// The handle of a running simulation, for its scenario. It can't be sent to handlers: it stays on its thread.
#[derive(Clone)]
pub struct SimulationHandle {
    stage: Rc<Stage>,
    threads: usize,
}

impl fmt::Debug for SimulationHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulationHandle")
    }
}

impl SimulationHandle {
    /// Starts a system on simulated threads: one for the keepers, and [`Simulation::threads`] for subsystems. It
    /// uses the simulation's clock and seed.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn system(&self, builder: Builder) -> Result<System, StartError> {
        let stage = &self.stage;
        let number = stage.systems.borrow().len();
        let keepers = stage.thread(format!("system {number}/keepers"));
        let threads: Vec<_> = (0..self.threads)
            .map(|at| stage.thread(format!("system {number}/{at}")))
            .collect();
        let (quit, quits) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let ground = Ground {
            clock: stage.time.clock.clone(),
            seed: stage.rng.next_u64(),
            keepers: keepers.take_jobs(),
            threads: threads.iter().map(|thread| thread.take_jobs()).collect(),
            quit,
            ended,
        };
        let ends = keepers.clone();
        keepers.spawn(async move {
            let _: Result<(), _> = quits.await;
            for thread in threads {
                let (end, ended) = oneshot::channel();
                thread.end(end);
                let _ = ended.await;
            }
            ends.end(end);
        });
        let system = start_simulated(builder, ground).await?;
        stage.systems.borrow_mut().push(system.downgrade());
        Ok(system)
    }

    /// Runs a future on a simulated thread of its own, as a client of the system. If it panics, the simulation
    /// fails. When the scenario ends, the future is dropped.
    pub fn spawn<T: 'static>(&self, client: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        self.stage.thread("client").spawn(self.guarded(client))
    }

    /// Returns random numbers that depend on the seed; each call returns others.
    pub fn rng(&self) -> Rng {
        self.stage.rng.split()
    }

    /// How much simulated time has passed.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.stage.time.ns())
    }

    /// Makes the simulation fail if a future panics.
    fn guarded<T: 'static>(
        &self,
        work: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = T> + 'static {
        let stage = self.stage.clone();
        async move {
            match AssertUnwindSafe(work).catch_unwind().await {
                Ok(value) => value,
                Err(panic) => {
                    stage.halt(Halt::Panicked(panic_text(panic).into()));
                    std::future::pending().await
                }
            }
        }
    }
}

/// Lets simulated time pass in the middle of a handler or a client, as if it worked that long. No other thread
/// runs meanwhile. Outside of a simulation it does nothing.
pub fn spend(time: Duration) {
    mycelia::__test::spend(time);
}
