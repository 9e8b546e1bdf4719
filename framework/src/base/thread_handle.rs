//! Thread handles: the threads of a system, as the keepers see them when they launch something there.

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
    /// Runs `launch` on that thread; dropped if it has ended.
    pub(crate) fn run(&self, launch: impl FnOnce() + Send + 'static) {
        match self {
            ThreadHandle::Arbiter(arbiter) => drop(arbiter.spawn_fn(launch)),
            ThreadHandle::Simulated(jobs) => jobs.run(launch),
        }
    }
}

/// The keepers' executor: drives their timers, and those of askers on other executors.
pub(crate) struct Executor {
    runtime: tokio::runtime::Handle,
    /// The keepers' thread, if a simulation runs it.
    simulated: Option<Jobs>,
}

impl Executor {
    pub(crate) fn new(runtime: tokio::runtime::Handle, simulated: Option<Jobs>) -> Self {
        Executor { runtime, simulated }
    }

    /// While the result lives, what needs an executor on the calling thread finds this one.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs something beside the keepers.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match &self.simulated {
            None => drop(self.runtime.spawn(work)),
            Some(jobs) => jobs.run(|| drop(tokio::task::spawn_local(work))),
        }
    }
}
