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
use crate::topics::Topics;
use crate::words::error::StartError;
use crate::words::supervision::RestartScope;

/// Executor rounds, of up to 61 turns each, between two looks at timers and sockets. Tokio's default
/// of 61 would let a flooded subsystem keep timers waiting for milliseconds.
const EVENT_INTERVAL: u32 = 4;

/// A started system's parts.
pub(crate) struct Threads {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Addr<Registry>,
    pub(crate) supervisor: Addr<Supervisor>,
    pub(crate) keeper: Keeper,
}

/// The hold on the keepers' thread.
pub(crate) struct Keeper {
    pub(crate) quit: Mutex<Option<oneshot::Sender<()>>>,
    pub(crate) thread: Mutex<Option<JoinHandle<()>>>,
    /// The ids of the keepers' thread and of the subsystems' threads.
    pub(crate) all: Arc<Mutex<Vec<ThreadId>>>,
    /// Told when all threads of a simulated system have ended.
    pub(crate) ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Keeper {
    /// Lets all threads end.
    pub(crate) fn quit(&self) {
        if let Some(quit) = lock(&self.quit).take() {
            let _ = quit.send(());
        }
    }

    /// Waits until all threads have ended; not on one of them, which would wait for itself.
    pub(crate) async fn ended(&self) {
        self.join();
        let simulated = lock(&self.ended).take();
        if let Some(ended) = simulated {
            let _ = ended.await;
        }
    }

    /// The same for threads of the operating system.
    fn join(&self) {
        if lock(&self.all).contains(&std::thread::current().id()) {
            return;
        }
        // Held meanwhile: a second one waits for the first.
        let mut thread = lock(&self.thread);
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
    }
}

fn build_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
}

/// The parts that a system is started from.
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) threads: usize,
    pub(crate) pool: Arc<Pool>,
    pub(crate) restart_scope: RestartScope,
    pub(crate) topics: Arc<Topics>,
    pub(crate) strategy: Contained<Box<dyn Strategy>>,
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
            let topics = plan.topics.clone();
            let keepers = Executor::new(handle.clone(), None);
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
                let registry = Registry::start_on_this_thread(
                    shared.clone(),
                    plan.topics,
                    plan.restart_scope,
                    places,
                );
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
            topics.close();
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
                ended: Mutex::default(),
            },
        }),
        Ok(Err(error)) => Err(StartError::Thread(error)),
        Err(_) => Err(StartError::Thread(std::io::Error::other(
            "the keepers' thread ended at its start",
        ))),
    }
}
