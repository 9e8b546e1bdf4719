//! Thread handles: how the keepers run code on the threads of a system.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use actix_rt::ArbiterHandle;

use super::sim::Jobs;

/// A thread of a system.
#[derive(Clone)]
pub(crate) enum ThreadHandle {
    Arbiter(ArbiterHandle),
    #[allow(dead_code, reason = "a simulation makes it")]
    Simulated(Jobs),
}

impl ThreadHandle {
    /// Runs `launch` on that thread. If the thread has ended, `launch` is dropped.
    pub(crate) fn run(&self, launch: impl FnOnce() + Send + 'static) {
        match self {
            ThreadHandle::Arbiter(arbiter) => drop(arbiter.spawn_fn(launch)),
            ThreadHandle::Simulated(jobs) => jobs.run(launch),
        }
    }
}

/// The keepers' executor. It drives their timers, and the timers of askers on other executors.
pub(crate) struct Executor {
    runtime: tokio::runtime::Handle,
    /// The keepers' simulated thread; `None` outside of simulations.
    simulated: Option<Jobs>,
}

impl Executor {
    pub(crate) fn new(runtime: tokio::runtime::Handle, simulated: Option<Jobs>) -> Self {
        Executor { runtime, simulated }
    }

    /// Enters the executor's context: until the guard is dropped, timers made on the calling thread use this
    /// executor.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs a future beside the keepers.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match &self.simulated {
            None => drop(self.runtime.spawn(work)),
            Some(jobs) => jobs.run(|| drop(tokio::task::spawn_local(work))),
        }
    }
}
