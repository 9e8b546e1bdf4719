//! Places: the threads of a system, as the keepers see them when they launch something there.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use actix_rt::ArbiterHandle;

/// A thread of a system.
#[derive(Clone)]
pub(crate) enum ThreadHandle {
    Arbiter(ArbiterHandle),
    /// A simulation's.
    #[cfg(feature = "test")]
    Simulated(crate::base::thread_handle::Jobs),
}

/// Where a simulated thread takes its work from.
#[cfg(feature = "test")]
pub(crate) type Jobs = tokio::sync::mpsc::UnboundedSender<Job>;

/// Work for a simulated thread.
#[cfg(feature = "test")]
pub(crate) type Job = Box<dyn FnOnce() + Send>;

impl ThreadHandle {
    /// Runs `launch` on that thread; dropped if it has ended.
    pub(crate) fn run(&self, launch: impl FnOnce() + Send + 'static) {
        match self {
            ThreadHandle::Arbiter(arbiter) => drop(arbiter.spawn_fn(launch)),
            #[cfg(feature = "test")]
            ThreadHandle::Simulated(jobs) => drop(jobs.send(Box::new(launch))),
        }
    }
}

/// The keepers' executor: drives their timers, and those of askers on other executors.
pub(crate) struct Executor {
    runtime: tokio::runtime::Handle,
    #[cfg(feature = "test")]
    simulated: Option<Jobs>,
}

impl Executor {
    pub(crate) fn new(runtime: tokio::runtime::Handle) -> Self {
        Executor {
            runtime,
            #[cfg(feature = "test")]
            simulated: None,
        }
    }

    #[cfg(feature = "test")]
    pub(crate) fn simulated(runtime: tokio::runtime::Handle, jobs: Jobs) -> Self {
        let simulated = Some(jobs);
        Executor { runtime, simulated }
    }

    /// While the result lives, what needs an executor on the calling thread finds this one.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs something beside the keepers.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        #[cfg(feature = "test")]
        if let Some(jobs) = &self.simulated {
            let spawn = || drop(tokio::task::spawn_local(work));
            let _ = jobs.send(Box::new(spawn));
            return;
        }
        drop(self.runtime.spawn(work));
    }
}
