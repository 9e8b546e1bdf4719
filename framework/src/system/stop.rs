//! Stopping: nothing new, everything accepted, then the threads.

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Exit, System};
use crate::base::clock;
use crate::base::sync::Ordering;
use crate::base::user_code::shielded;
use crate::keepers::registry::ending::{EndAll, Ended};
use crate::keepers::supervisor::snapshot::Snapshot;
use crate::words::error::HookFailure;
use crate::words::ledger::Ledger;
use crate::words::stop_reason::StopReason;

/// How a stop went.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StopReport {
    /// The final account of the whole system.
    pub ledger: Ledger,
    /// How long it took.
    pub took: Duration,
    /// Why the system stopped.
    pub reason: StopReason,
    /// The last hooks that failed, of those subsystems that the stop ended: the youngest first.
    pub failed_hooks: Vec<HookFailure>,
    /// What the system had done when it had ended: each subsystem that the stop ended, with its account and
    /// its latencies.
    pub snapshot: Arc<Snapshot>,
    /// Why what was to run [`before_stop`](crate::Builder::before_stop) failed: an error, a panic, or that it
    /// did not come to its end in time. Nothing if it did not fail.
    pub before_stop: Vec<Box<str>>,
}

/// A stop that could not end everything in time.
#[derive(Debug, Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum StopError {
    /// The deadline passed with messages left: they count as undeliverable, or as failed if their
    /// handler had begun. All threads have ended.
    #[error("the stop's deadline passed after {}", left(.0))]
    DeadlineExceeded(StopReport),
    /// Handlers block their thread and can't be ended; their threads are left behind.
    #[error("handlers of {} block their thread; it is left behind", .subsystems.join(", "))]
    Stuck {
        /// The subsystems whose handlers do not return.
        subsystems: Vec<Box<str>>,
        /// The account so far.
        ledger: Ledger,
    },
    /// The system had stopped by itself, because a subsystem failed too often. All threads have ended.
    #[error("the system stopped by itself: {}", .0.reason)]
    Escalated(StopReport),
    /// A second signal, which is the report's reason, ended the stop with messages left: they count as
    /// undeliverable, or as failed if their handler had begun. All threads have ended.
    #[error("{} ended the stop after {}", .0.reason, left(.0))]
    Interrupted(StopReport),
    /// The operating system gives no signals, for this reason: the system was not stopped.
    #[error("the operating system gives no signals, the system was not stopped: {0}")]
    NoSignals(Box<str>),
    /// A handler of the system called it, or a future that a subsystem has spawned by its context, which the stop
    /// would wait for. The stop has not begun: spawn a task of the executor's that stops the system.
    #[error(
        "a handler of `{subsystem}` can't wait for the end of its own system, which was not stopped; spawn a task that stops it"
    )]
    InHandler {
        /// The subsystem of the handler, or of the future.
        subsystem: Arc<str>,
    },
    /// The system was stopped before.
    #[error("the system was stopped before")]
    AlreadyStopped,
}

fn left(report: &StopReport) -> String {
    let StopReport { took, ledger, .. } = report;
    format!(
        "{took:?}: {} messages were undeliverable, {} failed",
        ledger.undeliverable, ledger.failed
    )
}

/// How far a system is with its stop, for all callers that wait for it.
#[derive(Default)]
pub(super) struct Progress {
    /// Set by the first caller.
    begun: OnceCell<Begun>,
    /// How it went; every caller gets a copy.
    ended: OnceCell<Exit>,
}

/// A stop that has begun.
struct Begun {
    at: Instant,
    deadline: Duration,
    /// The account at that moment.
    before: Ledger,
}

impl System {
    /// Stops within the builder's [`stop_deadline`](crate::Builder::stop_deadline).
    ///
    /// # Errors
    /// As [`stop_within`](Self::stop_within).
    pub async fn stop(&self) -> Result<StopReport, StopError> {
        self.stop_within(self.0.shared.stop_deadline).await
    }

    /// Refuses new messages from outside at once; handles all that were accepted, and what their
    /// handlers send, until nothing waits or `deadline` has passed; ends the subsystems; joins the
    /// threads.
    ///
    /// A handler can't wait for it, since it is waited for itself, nor can what runs by
    /// [`Context::spawn`](crate::Context::spawn): let it spawn a task of the executor's that does. In such a task, which lives on a thread of the system, the threads are told to end and not joined.
    ///
    /// # Errors
    /// The deadline passed with messages left, a handler blocks its thread, a handler of the system called
    /// it, or the system was stopped before.
    ///
    /// # Cancel safety
    /// Dropped before its end, the subsystems are still ended but the threads stay until the last
    /// clone of the system is dropped.
    pub async fn stop_within(&self, deadline: Duration) -> Result<StopReport, StopError> {
        if let Some(refusal) = self.refuse_handler() {
            return Err(refusal);
        }
        if self.0.is_stopping.swap(1, Ordering::AcqRel) != 0 {
            return Err(StopError::AlreadyStopped);
        }
        shielded(self.end(deadline)).await
    }

    /// Why the calling handler, if it is one, can't wait for the end of the system.
    pub(super) fn refuse_handler(&self) -> Option<StopError> {
        let shared = &self.0.shared;
        match shared.held_open() {
            0 => None,
            me => Some(StopError::InHandler {
                subsystem: shared.directory.names_of(&[me]).into(),
            }),
        }
    }

    /// Stops the system, or waits for the stop that has begun; several may.
    pub(super) async fn end(&self, deadline: Duration) -> Result<StopReport, StopError> {
        let core = &self.0;
        let shared = &core.shared;
        core.is_stopping.store(1, Ordering::Release);
        shared.note_stop(StopReason::Requested);
        // The registry may have begun by itself.
        shared.drain_if_nothing_is_before();
        let begun = core.stop.begun.get_or_init(|| Begun {
            at: Instant::now(),
            deadline,
            before: self.snapshot().total,
        });
        let end = core.registry.send(EndAll {
            deadline: clock::after(begun.at, deadline),
        });
        // The keepers wait for the answer, not the caller. If the caller is dropped, actix would skip the request,
        // and a system that counts as stopping would never stop.
        let (told, ended) = oneshot::channel();
        shared.keepers.spawn(async move {
            let _ = told.send(end.await.unwrap_or_default());
        });
        let ended = ended.await.unwrap_or_default();
        if ended.stuck.is_empty() {
            core.keeper.quit();
            // A few milliseconds at most: all subsystems have ended.
            core.keeper.ended().await;
        }
        // Else the keepers stay: they drive the timers of those who asked the stuck handlers.
        let ended = core.stop.ended.get_or_init(|| self.exit(begun, ended));
        ended.clone().result()
    }

    /// How a stop went that has come to its end.
    fn exit(&self, begun: &Begun, ended: Ended) -> Exit {
        let shared = &self.0.shared;
        let Begun {
            at,
            deadline,
            before,
        } = begun;
        let now = self.snapshot();
        let ledger = now.total;
        if !ended.stuck.is_empty() {
            let subsystems = ended.stuck;
            return Err(StopError::Stuck { subsystems, ledger }).into();
        }
        let report = StopReport {
            ledger,
            took: at.elapsed(),
            reason: shared.stop_reason().unwrap_or(StopReason::Requested),
            failed_hooks: ended.failed_hooks,
            snapshot: ended.snapshot.unwrap_or_else(|| now.into()),
            before_stop: ended.before_stop,
        };
        if matches!(report.reason, StopReason::Escalated { .. }) {
            return Err(StopError::Escalated(report)).into();
        }
        let was_cut_short = report.took > *deadline || shared.hurried_by().is_some();
        let has_left = ledger.undeliverable > before.undeliverable
            || (was_cut_short && ledger.failed > before.failed);
        let stopped = match shared.hurried_by() {
            _ if !has_left => Ok(report),
            Some(signal) => Err(StopError::Interrupted(StopReport {
                reason: StopReason::Signal(signal),
                ..report
            })),
            None => Err(StopError::DeadlineExceeded(report)),
        };
        stopped.into()
    }
}
