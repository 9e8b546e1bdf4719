//! Tasks of a subsystem: timers and streams, which send it messages and end with it.
//!
//! Timers run on the keepers' thread, so that they fire whatever is going on elsewhere; streams on the
//! subsystem's own. What they send goes the way of all messages: it has an envelope, waits for room, is
//! accounted for. They wait for room under a policy that rejects, too: nothing could be handed back to them.

use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable};
use futures_util::{Stream, StreamExt};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until};

use crate::context::Context;
use crate::dead_letters::DeadReason;
use crate::error::{AskError, SendError};
use crate::handle::Route;
use crate::mailbox::orders::Control;
use crate::message::Message;
use crate::priority::Priority;

/// A timer or a stream of a subsystem. It goes on when this value is dropped; it ends when it is
/// cancelled, and when its subsystem ends or is made anew.
#[derive(Debug, Clone)]
pub struct Task(AbortHandle);

impl Task {
    /// Ends it: it sends nothing more. A message that it has sent, or is sending on another thread at this
    /// very moment, is handled all the same.
    pub fn cancel(&self) {
        self.0.abort();
    }

    /// True if it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_aborted()
    }
}

/// What a timer does that comes too late, because its subsystem was busy.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// It leaves out what it missed: there is never more than one of its messages under way.
    #[default]
    Skip,
    /// It makes up for all that it missed.
    Burst,
}

impl Context {
    /// Sends this subsystem a message after `delay`, to a path within it: `"tick"` is
    /// `name://tick`. It is urgent ([`Priority::High`]), so that it comes in time though many wait.
    ///
    /// # Errors
    /// The subsystem has no such route, or it takes other messages.
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[derive(Message)]
    /// struct Wake;
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Alarm;
    ///
    /// #[routes]
    /// impl Alarm {
    ///     #[started]
    ///     fn set(&mut self, ctx: Context) -> anyhow::Result<()> {
    ///         ctx.after(Duration::from_millis(10), "wake", Wake)?;
    ///         Ok(())
    ///     }
    ///
    ///     #[route("wake")]
    ///     fn wake(&mut self, _: Wake) {}
    /// }
    /// ```
    pub fn after<M: Message>(
        &self,
        delay: Duration,
        path: &str,
        message: M,
    ) -> Result<Task, SendError> {
        let route = self.own_route::<M>(path)?;
        let message = sync_wrapper::SyncWrapper::new(message);
        Ok(self.keep_time(|_| async move {
            sleep(delay).await;
            // It is closed: there is nobody to remind.
            let _ = route.insisting().tell(message.into_inner()).await;
        }))
    }

    /// Sends this subsystem a message that `make` makes every `period`, the first after one. As
    /// [`after`](Self::after) otherwise.
    ///
    /// # Errors
    /// As [`after`](Self::after).
    ///
    /// # Panics
    /// If `period` is zero.
    pub fn every<M: Message>(
        &self,
        period: Duration,
        missed: Missed,
        path: &str,
        mut make: impl FnMut() -> M + Send + 'static,
    ) -> Result<Task, SendError> {
        assert!(!period.is_zero(), "a period is longer than nothing");
        let route = self.own_route::<M>(path)?;
        let context = self.clone();
        Ok(self.keep_time(|task| async move {
            let mut next = Instant::now() + period;
            loop {
                sleep_until(next).await;
                if task.is_cancelled() {
                    return;
                }
                let is_there = match missed {
                    Missed::Burst => route.insisting().tell(make()).await.is_ok(),
                    Missed::Skip => context.tick(&route, make()).await,
                };
                if !is_there {
                    return;
                }
                next += period;
                if missed == Missed::Skip {
                    let late = Instant::now().saturating_duration_since(next);
                    let periods = late.as_nanos().div_ceil(period.as_nanos());
                    next += period.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX));
                }
            }
        }))
    }

    /// Sends a timer's message and waits until it is handled; false if there is nobody to handle it. It
    /// is asked for that, but nobody listens: if it fails, it is a dead letter.
    async fn tick<M: Message>(&self, route: &Route<M>, message: M) -> bool {
        let reason = match route.insisting().ask_for_ever(message).await {
            Ok(_) => return true,
            Err(AskError::Failed(error)) => DeadReason::Failed(format!("{error:#}").into()),
            Err(AskError::Panicked { message, .. }) => DeadReason::Panicked((*message).into()),
            Err(AskError::Undelivered(_) | AskError::Unhandled { .. }) => return false,
            Err(_) => return true,
        };
        route.bury(reason);
        true
    }

    /// Sends this subsystem every message of a stream, to a path within it, until the stream ends. The
    /// stream is polled on the subsystem's thread, and for the next message only when there was room for
    /// the last.
    ///
    /// # Errors
    /// As [`after`](Self::after).
    ///
    /// # Examples
    /// ```
    /// use futures_util::StreamExt;
    /// use mycelia::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Line(String);
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Reader;
    ///
    /// #[routes]
    /// impl Reader {
    ///     #[started]
    ///     fn read(&mut self, ctx: Context) -> anyhow::Result<()> {
    ///         let lines = futures_util::stream::iter(["a", "b"]);
    ///         ctx.stream("line", lines.map(|line| Line(line.into())))?;
    ///         Ok(())
    ///     }
    ///
    ///     #[route("line")]
    ///     fn line(&mut self, _: Line) {}
    /// }
    /// ```
    pub fn stream<M: Message>(
        &self,
        path: &str,
        stream: impl Stream<Item = M> + Send + 'static,
    ) -> Result<Task, SendError> {
        let route = self.own_route::<M>(path)?.with_priority(M::PRIORITY);
        let (sending, task) = self.enlisted(|task| async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(message) = stream.next().await {
                if route.insisting().tell(message).await.is_err() {
                    return;
                }
                // Others on the thread have their turns though all goes on at once.
                consume_budget().await;
                // It may have been cancelled in the midst of this poll.
                if task.is_cancelled() {
                    return;
                }
            }
        });
        self.order(Control::Spawn(Box::pin(async move {
            let _ = sending.await;
        })));
        Ok(task)
    }

    fn own_route<M: Message>(&self, path: &str) -> Result<Route<M>, SendError> {
        let shared = self.shared().ok_or(SendError::Stopped)?;
        let route = Route::resolve_within(&shared, self.mounted(), path)?;
        Ok(route.with_priority(match M::PRIORITY {
            Priority::Normal => Priority::High,
            other => other,
        }))
    }

    /// Makes a task that ends with this subsystem.
    fn enlisted<F: Future<Output = ()>>(
        &self,
        work: impl FnOnce(Task) -> F,
    ) -> (Abortable<F>, Task) {
        let (abort, registration) = AbortHandle::new_pair();
        let task = Task(abort.clone());
        let work = Abortable::new(work(task.clone()), registration);
        self.mounted().enlist(abort);
        (work, task)
    }

    /// Runs a task on the keepers' thread.
    fn keep_time<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Task) -> F,
    ) -> Task {
        let (work, task) = self.enlisted(work);
        if let Some(shared) = self.shared() {
            shared.keepers.spawn(async move {
                let _ = work.await;
            });
        }
        task
    }
}
