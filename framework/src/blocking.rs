//! The threads for handlers that block: few, started when first needed, and not the system's own.

use std::sync::Arc;

use once_cell::sync::OnceCell;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::sync::{Mutex, lock};

/// The threads for handlers that block.
pub(crate) struct Blocking {
    name: Arc<str>,
    threads: usize,
    /// Never driven: only its threads for blocking work are used.
    runtime: OnceCell<Runtime>,
    running: Arc<Mutex<Vec<Arc<str>>>>,
}

impl Blocking {
    pub(crate) fn new(name: Arc<str>, threads: usize) -> Self {
        Blocking {
            name,
            threads,
            runtime: OnceCell::new(),
            running: Arc::default(),
        }
    }

    /// Runs `work` of subsystem `who` on one of the threads, when one is free.
    ///
    /// # Errors
    /// The threads could not be made.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        who: Arc<str>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<JoinHandle<T>> {
        #[cfg(feature = "test")]
        if crate::fate::thread() != 0 {
            // A simulation has no other threads: later, on this one.
            return Ok(tokio::task::spawn_local(async { work() }));
        }
        let runtime = self.runtime.get_or_try_init(|| {
            tokio::runtime::Builder::new_current_thread()
                .max_blocking_threads(self.threads)
                .thread_name(format!("{}-blocking", self.name))
                .build()
        })?;
        let running = self.running.clone();
        Ok(runtime.spawn_blocking(move || {
            let _running = Running::new(running, who);
            work()
        }))
    }

    /// The subsystems whose handlers run there now.
    pub(crate) fn running(&self) -> Vec<Arc<str>> {
        lock(&self.running).clone()
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever still blocks is not waited for.
            runtime.shutdown_background();
        }
    }
}

/// Work that is being done.
struct Running {
    all: Arc<Mutex<Vec<Arc<str>>>>,
    who: Arc<str>,
}

impl Running {
    fn new(all: Arc<Mutex<Vec<Arc<str>>>>, who: Arc<str>) -> Self {
        lock(&all).push(who.clone());
        Running { all, who }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(at) = all.iter().position(|one| Arc::ptr_eq(one, &self.who)) {
            all.swap_remove(at);
        }
    }
}
