//! How a system is started on the threads of a simulation, with its time and its chance.

use std::rc::Rc;
use std::sync::Arc;

use actix::Actor;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::base::clock::{Clock, ClockHand};
use crate::base::sim::Jobs;
use crate::base::sync::Mutex;
use crate::base::thread_handle::{Executor, ThreadHandle};
use crate::base::user_code::shielded;
use crate::keepers::registry::Registry;
use crate::keepers::supervisor::Supervisor;
use crate::runtime::shared::{Settings, Shared};
use crate::send::path_cache::{CACHES, PathCache};
use crate::system::threads::{Keeper, Plan, Threads};
use crate::system::{Builder, System, WeakSystem};
use crate::thread::{LOCALS, Local};
use crate::topics::{REMEMBERED, ThreadTopics};
use crate::words::error::StartError;

/// The ground that a simulation lends a system: its threads, its time, its chance.
pub struct Ground {
    /// The simulation's clock.
    pub clock: Clock,
    /// Of all that happens by chance.
    pub seed: u64,
    /// The keepers' thread.
    pub keepers: Jobs,
    /// Those of subsystems.
    pub threads: Vec<Jobs>,
    /// Lets the threads end.
    pub quit: oneshot::Sender<()>,
    /// Told when they have.
    pub ended: oneshot::Receiver<()>,
}

/// Starts a system on the threads of a simulation.
///
/// # Errors
/// As [`Builder::start`].
pub async fn start_simulated(builder: Builder, ground: Ground) -> Result<System, StartError> {
    builder
        .threads(ground.threads.len())
        .start_with(|plan| start_threads(plan, ground))
        .await
}

async fn start_threads(plan: Plan, ground: Ground) -> Result<Threads, StartError> {
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
        let registry =
            Registry::start_on_this_thread(shared.clone(), plan.topics, plan.restart_scope, places);
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

/// A clock that stands still until its hand is turned, by which timers go all the same: so it is none that
/// [`Clock::manual`] makes.
pub fn simulated_clock() -> (Clock, ClockHand) {
    let (clock, mock) = quanta::Clock::mock();
    // Zero means "never" where a stamp is optional.
    mock.increment(1_u64);
    (Clock::of(clock), ClockHand::of(mock))
}

/// What a simulated thread keeps of its systems while another one runs. What it remembers of paths goes before
/// what it has of pools.
#[derive(Default)]
pub struct ThreadMemory {
    caches: Vec<Rc<PathCache>>,
    topics: Vec<ThreadTopics>,
    locals: Vec<Rc<Local>>,
}

impl ThreadMemory {
    /// Exchanges it with what the calling thread of the operating system keeps.
    pub fn exchange(&mut self) {
        LOCALS.with_borrow_mut(|kept| std::mem::swap(kept, &mut self.locals));
        REMEMBERED.with_borrow_mut(|kept| std::mem::swap(kept, &mut self.topics));
        CACHES.with_borrow_mut(|kept| std::mem::swap(kept, &mut self.caches));
    }
}

/// What goes on in a system, for anyone who wants to know why it does not end; empty once it is gone.
pub fn report(system: &WeakSystem) -> String {
    let Some(system) = system.upgrade() else {
        return String::new();
    };
    let (now, shared) = (system.snapshot(), system.shared());
    let mut report = format!(
        "\nsystem `{}`: {} envelopes of {} in flight; {:?}",
        now.system, now.pool.in_flight, now.pool.capacity, now.total
    );
    for mounted in shared.directory.all_alive() {
        let mailbox = &mounted.mailbox;
        report += &format!(
            "\n  {} `{}` on thread {}{}: {:?}",
            mailbox.id,
            mailbox.name,
            mounted.thread,
            match (mounted.is_gone(), mounted.is_paused()) {
                (true, _) => ", leaving",
                (_, true) => ", paused",
                _ => "",
            },
            mounted.ledger()
        );
    }
    let waits: Vec<String> = (shared.waits.copied().iter())
        .map(|wait| format!("{} for {:?}", wait.id.who, wait.what))
        .collect();
    report += &format!("\n  who waits for whom: {}", waits.join(", "));
    report
}
