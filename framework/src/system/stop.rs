//! Stopping: nothing new, everything accepted, then the threads.

use std::time::Duration;

use tokio::time::Instant;

use super::System;
use crate::ledger::Ledger;
use crate::registry::ending::{EndAll, Ended};
use crate::shared::{Phase, StopReason};
use crate::sync::Ordering;

/// How a stop went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// The final account of the whole system.
    pub ledger: Ledger,
    /// How long it took.
    pub took: Duration,
    /// Why the system stopped.
    pub reason: StopReason,
}

/// A stop that could not end everything in time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopError {
    /// The deadline passed with messages left: they count as undeliverable, or as failed if their
    /// handler had begun. All threads have ended.
    DeadlineExceeded(StopReport),
    /// Handlers block their thread and can't be ended; their threads are left behind.
    Stuck {
        /// The subsystems whose handlers do not return.
        subsystems: Vec<Box<str>>,
        /// The account so far.
        ledger: Ledger,
    },
    /// The system had stopped by itself, because a subsystem failed too often. All threads have ended.
    Escalated(StopReport),
    /// The system was stopped before.
    AlreadyStopped,
}

impl std::fmt::Display for StopError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopError::DeadlineExceeded(report) => write!(
                f,
                "the stop's deadline passed after {:?}: {} messages were undeliverable, {} failed",
                report.took, report.ledger.undeliverable, report.ledger.failed
            ),
            StopError::Stuck { subsystems, .. } => write!(
                f,
                "handlers of {} block their thread; it is left behind",
                subsystems.join(", ")
            ),
            StopError::Escalated(report) => {
                write!(f, "the system stopped by itself: {}", report.reason)
            }
            StopError::AlreadyStopped => write!(f, "the system was stopped before"),
        }
    }
}

impl std::error::Error for StopError {}

/// Stands for a deadline that no clock can show: some 30 years.
const FAR: Duration = Duration::from_secs(1 << 30);

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
    /// Called from within a handler it can't join the handler's own thread: spawn it elsewhere.
    ///
    /// # Errors
    /// The deadline passed with messages left, a handler blocks its thread, or the system was stopped
    /// before.
    ///
    /// # Cancel safety
    /// Dropped before its end, the subsystems are still ended but the threads stay until the last
    /// clone of the system is dropped.
    pub async fn stop_within(&self, deadline: Duration) -> Result<StopReport, StopError> {
        let core = &self.0;
        let begun = Instant::now();
        if core.is_stopping.swap(1, Ordering::AcqRel) != 0 {
            return Err(StopError::AlreadyStopped);
        }
        let shared = &core.shared;
        shared.note_stop(StopReason::Requested);
        // The registry may have begun by itself.
        shared.advance(Phase::Draining);
        let before = self.snapshot().total;
        let ended = core.registry.send(EndAll {
            deadline: begun.checked_add(deadline).unwrap_or(begun + FAR),
        });
        let Ended { stuck } = ended.await.unwrap_or_default();
        shared.tell_stopped();
        let ledger = self.snapshot().total;
        if !stuck.is_empty() {
            // The keepers stay: askers of the stuck handlers still have timers with them.
            return Err(StopError::Stuck {
                subsystems: stuck,
                ledger,
            });
        }
        core.keeper.quit();
        core.keeper.join().await;
        let report = StopReport {
            ledger,
            took: begun.elapsed(),
            reason: shared.stop_reason().unwrap_or(StopReason::Requested),
        };
        if matches!(report.reason, StopReason::Escalated { .. }) {
            return Err(StopError::Escalated(report));
        }
        if ledger.undeliverable > before.undeliverable {
            return Err(StopError::DeadlineExceeded(report));
        }
        if report.took > deadline && ledger.failed > before.failed {
            return Err(StopError::DeadlineExceeded(report));
        }
        Ok(report)
    }
}
