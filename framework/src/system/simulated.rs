//! How a system is started on the threads of a simulation, with its time and its chance.

use std::sync::Arc;

use actix::Actor;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::base::clock::Clock;
use crate::base::sim::Jobs;
use crate::base::sync::Mutex;
use crate::base::thread_handle::{Executor, ThreadHandle};
use crate::base::user_code::shielded;
use crate::keepers::registry::Registry;
use crate::keepers::supervisor::Supervisor;
use crate::runtime::shared::{Settings, Shared};
use crate::system::threads::{Keeper, Plan, Threads};
use crate::system::{Builder, System};
use crate::words::error::StartError;

/// The ground that a simulation lends a system: its threads, its time, its chance.
pub(super) struct Ground {
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) keepers: Jobs,
    pub(super) threads: Vec<Jobs>,
    /// Lets the threads end.
    pub(super) quit: oneshot::Sender<()>,
    /// Told when they have.
    pub(super) ended: oneshot::Receiver<()>,
}

/// Starts everything on the threads of a simulation.
async fn start_simulated(plan: Plan, ground: Ground) -> Result<Threads, StartError> {
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
        let executor = Executor::new(Handle::current(), Some(jobs));
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

impl Builder {
    /// Starts everything on the threads of a simulation.
    pub(super) async fn start_on(self, ground: Ground) -> Result<System, StartError> {
        self.threads(ground.threads.len())
            .start_with(|plan| start_simulated(plan, ground))
            .await
    }
}
