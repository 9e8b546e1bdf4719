//! The threads for blocking handlers: few, started when first needed, and separate from the system's threads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use once_cell::sync::OnceCell;
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinHandle};

use crate::base::sim;
use crate::base::sync::{Mutex, lock};
use crate::mailbox::MailboxId;
use crate::runtime::deadlock::Guard;

/// The threads for blocking handlers.
pub(crate) struct Blocking {
    name: Arc<str>,
    threads: usize,
    /// Never driven: only its threads for blocking work are used.
    runtime: OnceCell<Runtime>,
    running: Arc<Mutex<Vec<BlockingHolder>>>,
}

/// A subsystem whose handler occupies a thread.
#[derive(Clone)]
pub(crate) struct BlockingHolder {
    pub(crate) mailbox: MailboxId,
    pub(crate) name: Arc<str>,
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

    /// Runs a subsystem's `work` on one of the threads, once one is free. `wait` ends at that moment.
    ///
    /// # Errors
    /// If the threads can't be started.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        who: BlockingHolder,
        wait: Option<Guard>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<JoinHandle<T>> {
        if sim::is_simulated() {
            // A simulation has no other threads, so it runs the work later on this one.
            return Ok(tokio::task::spawn_local(async {
                drop(wait);
                work()
            }));
        }
        let runtime = self.runtime.get_or_try_init(|| {
            tokio::runtime::Builder::new_current_thread()
                .max_blocking_threads(self.threads)
                .thread_name(format!("{}-blocking", self.name))
                .build()
        })?;
        let running = self.running.clone();
        Ok(runtime.spawn_blocking(move || {
            let _running = RunningCall::new(running, who);
            drop(wait);
            work()
        }))
    }

    /// The subsystems whose handlers run on the threads now.
    pub(crate) fn running(&self) -> Vec<Arc<str>> {
        let running = lock(&self.running);
        running.iter().map(|one| one.name.clone()).collect()
    }

    /// True if a handler of that subsystem runs there now.
    pub(crate) fn holds(&self, mailbox: MailboxId) -> bool {
        lock(&self.running).iter().any(|one| one.mailbox == mailbox)
    }

    /// As [`running`](Self::running), but only if no thread is free.
    pub(crate) fn holders(&self) -> Option<Vec<MailboxId>> {
        let running = lock(&self.running);
        let all_are_taken = running.len() >= self.threads;
        all_are_taken.then(|| running.iter().map(|one| one.mailbox).collect())
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for handlers that still block.
            runtime.shutdown_background();
        }
    }
}

/// A call on one of the threads, to be awaited. If it is dropped before the call has begun, the call is not made.
pub(crate) struct BlockingCall<T>(pub(crate) JoinHandle<T>);

impl<T> Future for BlockingCall<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for BlockingCall<T> {
    fn drop(&mut self) {
        // A call that has begun goes on.
        self.0.abort();
    }
}

/// Guard of a call that runs: lists its subsystem as a holder of a thread until it is dropped.
struct RunningCall {
    all: Arc<Mutex<Vec<BlockingHolder>>>,
    who: BlockingHolder,
}

impl RunningCall {
    fn new(all: Arc<Mutex<Vec<BlockingHolder>>>, who: BlockingHolder) -> Self {
        lock(&all).push(who.clone());
        RunningCall { all, who }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(at) = all.iter().position(|one| one.mailbox == self.who.mailbox) {
            all.swap_remove(at);
        }
    }
}
