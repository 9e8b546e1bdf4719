//! Tasks of a subsystem: timers and streams, which send it messages and end with it.
//!
//! They run on the subsystem's own thread, since what they call is its code. The keepers' thread keeps the time, so
//! that a busy thread is woken in time. Their messages go the way of all messages: each has an envelope, waits for
//! room, and is accounted for. They wait for room under a policy that rejects, too, since nothing could be handed back
//! to them. A task that panics is a failure of its subsystem; see
//! [`Failure::Task`](crate::supervise::Failure::Task).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::base::clock;
use crate::base::sync::Ordering;
use crate::base::task_list::Cancel;
use crate::base::user_code::{Beside, contain};
use crate::books::dead_letters::DeadReason;
use crate::directory::Mounted;
use crate::mailbox::orders::{Control, WakeOnDrop};
use crate::runtime::shared::Shared;
use crate::send::{self, handle::Route};
use crate::system::context::Context;
use crate::words::error::{AskError, SendError};
use crate::words::message::Message;
use crate::words::priority::Priority;

/// A timer, a stream, or a future that a subsystem has spawned. It goes on when this value is dropped. It ends when it
/// is cancelled, and when its subsystem ends or is restarted.
#[derive(Debug, Clone)]
pub struct Task(Arc<Cancel>);

impl Task {
    /// One that never ran: its system has been dropped.
    pub(super) fn ended() -> Self {
        let cancel = Arc::<Cancel>::default();
        cancel.cancel();
        Task(cancel)
    }

    /// Ends it: it sends nothing more. A message that it has sent, or is sending on another thread at this
    /// very moment, is handled all the same.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// True if it was cancelled, or its subsystem has ended or was restarted.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// What a timer does if it is late, because its subsystem was busy.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTick {
    /// It skips the ticks that it missed. Never more than one of its messages is under way.
    #[default]
    Skip,
    /// It makes up for the ticks that it missed.
    Burst,
}

impl Context {
    /// Sends this subsystem a message after `delay`, to a path within it: `"tick"` is `name://tick`. The message is
    /// urgent ([`Priority::High`]), so that it comes in time though many wait. A delay that no clock can show, such as
    /// `Duration::MAX`, never ends.
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
        let shared = self.shared().ok_or(SendError::Stopped)?;
        let until = clock::after(Instant::now(), delay);
        let message = sync_wrapper::SyncWrapper::new(message);
        Ok(self.run(|_| async move {
            wait_until(&shared, until).await;
            // If it is refused, the subsystem is closed.
            let _ = route.tell(message.into_inner()).await;
        }))
    }

    /// Sends this subsystem a message that `make` makes every `period`, the first after one. As
    /// [`after`](Self::after) otherwise. `make` is called on the subsystem's thread; if it panics, the
    /// subsystem fails.
    ///
    /// # Errors
    /// As [`after`](Self::after); or `period` is zero.
    pub fn every<M: Message>(
        &self,
        period: Duration,
        missed: MissedTick,
        path: &str,
        make: impl FnMut() -> M + Send + 'static,
    ) -> Result<Task, SendError> {
        if period.is_zero() {
            return Err(SendError::BadSetting {
                setting: "period",
                must_be: "longer than zero",
            });
        }
        let route = self.own_route::<M>(path)?;
        let shared = self.shared().ok_or(SendError::Stopped)?;
        let context = self.clone();
        let first = clock::after(Instant::now(), period);
        Ok(self.run(|task| async move {
            let mut make = Beside(Some(make));
            let mut next = first;
            loop {
                wait_until(&shared, next).await;
                if task.is_cancelled() {
                    return;
                }
                let is_there = match missed {
                    MissedTick::Burst => route.tell(make.get_mut()()).await.is_ok(),
                    MissedTick::Skip => context.tick(&route, make.get_mut()()).await,
                };
                if !is_there {
                    return;
                }
                next = next.and_then(|last| following(last, period, missed, Instant::now()));
            }
        }))
    }

    /// Sends a timer's message and waits until it is handled. False if the subsystem has ended. It asks, to know the
    /// end, but nothing takes the answer: a failure becomes a dead letter.
    async fn tick<M: Message>(&self, route: &Route<M>, message: M) -> bool {
        let reason = match send::ask_without_deadline(route, message).await {
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
        Ok(self.run(|task| async move {
            let mut stream = Beside(Some(Box::pin(stream)));
            while let Some(message) = stream.get_mut().next().await {
                if route.tell(message).await.is_err() {
                    return;
                }
                // Lets other tasks of the thread run, even if stream and mailbox are always ready.
                consume_budget().await;
                // It may have been cancelled within this poll.
                if task.is_cancelled() {
                    return;
                }
            }
        }))
    }

    pub(super) fn own_route<M: Message>(&self, path: &str) -> Result<Route<M>, SendError> {
        let shared = self.shared().ok_or(SendError::Stopped)?;
        let route = Route::resolve_within(&shared, self.mounted(), path)?;
        Ok(route.with_priority(match M::PRIORITY {
            Priority::Normal => Priority::High,
            other => other,
        }))
    }

    /// Runs a task of this subsystem on its thread.
    pub(super) fn run<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Task) -> F,
    ) -> Task {
        let task = Task(Arc::default());
        let mounted = self.mounted();
        let work = Supervised {
            work: Some(work(task.clone())),
            number: mounted.tasks().enter(task.0.clone()),
            life: mounted.restarts.load(Ordering::Relaxed),
            mounted: mounted.clone(),
            cancel: task.0.clone(),
            relay: None,
        };
        self.order(Control::Spawn(Box::pin(work)));
        task
    }
}

/// When a timer that was due at `last` is due next; `None` for never.
fn following(last: Instant, period: Duration, missed: MissedTick, now: Instant) -> Option<Instant> {
    let next = clock::after(last, period)?;
    if missed == MissedTick::Burst {
        return Some(next);
    }
    let late = now.saturating_duration_since(next);
    let periods = late.as_nanos().div_ceil(period.as_nanos());
    let periods = u32::try_from(periods).unwrap_or(u32::MAX);
    clock::after(next, period.saturating_mul(periods))
}

/// Waits until then; forever if no clock can show it.
async fn wait_until(shared: &Shared, until: Option<Instant>) {
    match until {
        Some(until) => timer(shared, until).await,
        None => std::future::pending().await,
    }
}

/// A timer that the keepers' thread keeps.
fn timer(shared: &Shared, until: Instant) -> Sleep {
    let _keepers = shared.keepers.enter();
    sleep_until(until)
}

pin_project_lite::pin_project! {
    /// A task as its thread runs it. What it calls is user code.
    struct Supervised<F> {
        // None once it is over.
        #[pin]
        work: Option<F>,
        number: u64,
        life: u32,
        mounted: Arc<Mounted>,
        cancel: Arc<Cancel>,
        // Wakes the task by way of its host; see `Relay`.
        relay: Option<Waker>,
    }

    impl<F> PinnedDrop for Supervised<F> {
        fn drop(this: Pin<&mut Self>) {
            this.end(None);
        }
    }
}

/// Wakes a task by way of its host. A host looks for orders in each of its turns. The executor looks for wake-ups of
/// other threads, such as those of timers, only once in many turns of a flooded subsystem.
struct Relay {
    mounted: Arc<Mounted>,
    task: Waker,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = WakeOnDrop(self.task.clone());
        self.mounted.order(Control::Wake(task));
    }
}

impl<F> Supervised<F> {
    /// Ends the task, perhaps because of a panic. Dropping what it still has may panic too.
    fn end(self: Pin<&mut Self>, panic: Option<Box<str>>) {
        let mut this = self.project();
        if this.work.is_none() {
            return;
        }
        let dropped = contain(|| this.work.set(None));
        this.mounted.tasks().leave(*this.number);
        this.cancel.retire();
        *this.relay = None;
        if let Some(text) = panic.or(dropped.err()) {
            let life = *this.life;
            this.mounted.order(Control::TaskPanicked { life, text });
        }
    }
}

impl<F: Future<Output = ()>> Future for Supervised<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.as_mut().project();
        if this.cancel.poll(cx) {
            self.end(None);
            return Poll::Ready(());
        }
        let relay = this.relay.get_or_insert_with(|| {
            let (mounted, task) = (this.mounted.clone(), cx.waker().clone());
            Waker::from(Arc::new(Relay { mounted, task }))
        });
        let polled = contain(|| match this.work.as_pin_mut() {
            Some(work) => work.poll(&mut TaskContext::from_waker(relay)),
            None => Poll::Ready(()),
        });
        match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => self.end(None),
            Err(text) => self.end(Some(text)),
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_late_skips_or_makes_up_and_the_longest_period_is_never() {
        const MS: Duration = Duration::from_millis(1);
        let begun = Instant::now();
        let at = |ms| begun + ms * MS;
        let next = |missed, now| following(begun, 10 * MS, missed, at(now));
        assert_eq!(next(MissedTick::Skip, 3), Some(at(10)));
        assert_eq!(next(MissedTick::Skip, 10), Some(at(10)));
        assert_eq!(next(MissedTick::Skip, 25), Some(at(30)));
        assert_eq!(next(MissedTick::Burst, 25), Some(at(10)));
        for missed in [MissedTick::Skip, MissedTick::Burst] {
            assert_eq!(following(begun, Duration::MAX, missed, at(1)), None);
            let nano = Duration::from_nanos(1);
            assert!(following(begun, nano, missed, at(100_000)) > Some(begun));
        }
    }
}
