//! The threads of a system: one for the keepers, one arbiter for every thread of subsystems.
//!
//! The keepers' thread runs an actix `System` of its own, so that two systems in one process never
//! meet and a system can be started from any executor. The arbiters belong to it, and it joins them.

use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, ThreadId};

use actix::{Actor, Addr};
use actix_rt::Arbiter;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::base::sync::{Mutex, lock};
use crate::base::thread_handle::{Executor, ThreadHandle};
use crate::base::user_code::{Contained, shielded};
use crate::envelope::pool::Pool;
use crate::keepers::registry::Registry;
use crate::keepers::supervisor::Supervisor;
use crate::keepers::supervisor::strategy::Strategy;
use crate::runtime::shared::{Settings, Shared};
use crate::words::error::StartError;
use crate::words::supervision::RestartScope;

/// Executor rounds, of up to 61 turns each, between two looks at timers and sockets. Tokio's default
/// of 61 would let a flooded subsystem keep timers waiting for milliseconds.
const EVENT_INTERVAL: u32 = 4;

/// A started system's parts.
pub(super) struct Threads {
    pub(super) shared: Arc<Shared>,
    pub(super) registry: Addr<Registry>,
    pub(super) supervisor: Addr<Supervisor>,
    pub(super) keeper: Keeper,
}

/// The hold on the keepers' thread.
pub(super) struct Keeper {
    quit: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Its own, and those of the subsystems.
    all: Arc<Mutex<Vec<ThreadId>>>,
    /// Told when all threads of a simulated system have ended.
    #[cfg(feature = "test")]
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Keeper {
    /// Lets all threads end.
    pub(super) fn quit(&self) {
        if let Some(quit) = lock(&self.quit).take() {
            let _ = quit.send(());
        }
    }

    /// Waits until all threads have ended; not on one of them, which would wait for itself.
    pub(super) fn join(&self) {
        if lock(&self.all).contains(&std::thread::current().id()) {
            return;
        }
        // Held meanwhile: a second one waits for the first.
        let mut thread = lock(&self.thread);
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
    }

    /// Waits until all threads of a simulated system have ended.
    #[cfg(feature = "test")]
    pub(super) async fn simulated_end(&self) {
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

fn build_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
}

/// What is to be started.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) threads: usize,
    pub(super) pool: Arc<Pool>,
    pub(super) restart_scope: RestartScope,
    pub(super) strategy: Contained<Box<dyn Strategy>>,
}

/// Starts the keepers' thread and, from there, everything else.
pub(super) async fn start_threads(plan: Plan) -> Result<Threads, StartError> {
    let (started, start) = oneshot::channel();
    let (quit, quits) = oneshot::channel();
    let all = Arc::new(Mutex::new(Vec::new()));
    let enlist = {
        let all = all.clone();
        move || lock(&all).push(std::thread::current().id())
    };
    let thread = std::thread::Builder::new()
        .name(format!("{}-keepers", plan.settings.name))
        .spawn(move || {
            enlist();
            let runtime = match build_runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            let handle = runtime.handle().clone();
            let keepers = Executor::new(handle.clone());
            let runner = actix_rt::System::with_tokio_rt(move || runtime);
            let (arbiters, shared) = runner.block_on(async move {
                let mut arbiters = Vec::with_capacity(plan.threads);
                for _ in 0..plan.threads {
                    let enlist = enlist.clone();
                    let runtime = move || {
                        enlist();
                        build_runtime()
                    };
                    match Arbiter::try_with_tokio_rt(runtime) {
                        Ok(arbiter) => arbiters.push(arbiter),
                        Err(error) => {
                            let _ = started.send(Err(error));
                            return (arbiters, Weak::new());
                        }
                    }
                }
                let shared = Arc::new(Shared::new(plan.settings, plan.pool, keepers));
                shared.keep_deferred_wakes();
                let system = Arc::downgrade(&shared);
                let handles = arbiters.iter().map(Arbiter::handle);
                let places = handles.map(ThreadHandle::Arbiter).collect();
                let registry =
                    Registry::start_on_this_thread(shared.clone(), plan.restart_scope, places);
                let supervisor = Supervisor::new(shared.clone(), plan.strategy).start();
                if started.send(Ok((shared, registry, supervisor))).is_ok() {
                    // Until the system is stopped or no one is left who could.
                    let _ = quits.await;
                }
                (arbiters, system)
            });
            for arbiter in &arbiters {
                arbiter.stop();
            }
            for arbiter in arbiters {
                let _ = arbiter.join();
            }
            // A handle may outlive the system; those who listen need not wait for it.
            if let Some(shared) = shared.upgrade() {
                shared.events.close();
                shared.dead_letters.close();
            }
            // An actor that is dropped is polled once more, and may want a timer.
            let _timers = handle.enter();
            drop(runner);
        })
        .map_err(StartError::Thread)?;
    match shielded(start).await {
        Ok(Ok((shared, registry, supervisor))) => Ok(Threads {
            shared,
            registry,
            supervisor,
            keeper: Keeper {
                quit: Mutex::new(Some(quit)),
                thread: Mutex::new(Some(thread)),
                all,
                #[cfg(feature = "test")]
                ended: Mutex::default(),
            },
        }),
        Ok(Err(error)) => Err(StartError::Thread(error)),
        Err(_) => Err(StartError::Thread(std::io::Error::other(
            "the keepers' thread ended at its start",
        ))),
    }
}

/// The ground that a simulation lends a system: its threads, its time, its chance.
#[cfg(feature = "test")]
pub(crate) struct Ground {
    pub(crate) clock: crate::base::clock::Clock,
    pub(crate) seed: u64,
    pub(crate) keepers: crate::base::thread_handle::Jobs,
    pub(crate) threads: Vec<crate::base::thread_handle::Jobs>,
    /// Lets the threads end.
    pub(crate) quit: oneshot::Sender<()>,
    /// Told when they have.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Starts everything on the threads of a simulation.
#[cfg(feature = "test")]
pub(super) async fn start_simulated(plan: Plan, ground: Ground) -> Result<Threads, StartError> {
    let Ground {
        keepers, threads, ..
    } = ground;
    let settings = Settings {
        clock: ground.clock,
        seed: ground.seed,
        ..plan.settings
    };
    let (started, start) = oneshot::channel();
    let jobs = keepers.clone();
    ThreadHandle::Simulated(keepers).run(move || {
        let executor = Executor::simulated(tokio::runtime::Handle::current(), jobs);
        let shared = Arc::new(Shared::new(settings, plan.pool, executor));
        shared.keep_deferred_wakes();
        let places = threads.into_iter().map(ThreadHandle::Simulated).collect();
        let registry = Registry::start_on_this_thread(shared.clone(), plan.restart_scope, places);
        let supervisor = Supervisor::new(shared.clone(), plan.strategy).start();
        let _ = started.send((shared, registry, supervisor));
    });
    let over = |_| StartError::Thread(std::io::Error::other("the simulation is over"));
    let (shared, registry, supervisor) = shielded(start).await.map_err(over)?;
    Ok(Threads {
        shared,
        registry,
        supervisor,
        keeper: Keeper {
            quit: Mutex::new(Some(ground.quit)),
            thread: Mutex::default(),
            all: Arc::default(),
            ended: Mutex::new(Some(ground.ended)),
        },
    })
}
