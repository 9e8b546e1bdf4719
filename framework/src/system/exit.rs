//! How a program ends after its system has stopped: what `main` returns.

use std::fmt;
use std::process::{ExitCode, Termination};

use super::{StopError, StopReport};
use crate::words::stop_reason::StopReason;

/// The end of a program that ran a system. Return it from `main`: then the process's exit code tells how the system
/// stopped, and an error is written to the standard error.
///
/// | code | the system |
/// |---|---|
/// | 0 | handled every message that it had accepted |
/// | 1 | got no signals from the operating system, a handler tried to stop it, or was stopped before; `main`'s own errors have this code too |
/// | 3 | had messages left when the deadline passed |
/// | 4 | left threads behind whose handlers block them |
/// | 5 | stopped by itself, because a subsystem failed too often |
/// | 130, 143 | had messages left when a second signal came, `SIGINT` or `SIGTERM` |
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[mycelia::main]
/// async fn main() -> anyhow::Result<mycelia::Exit> {
///     let system = System::builder().start().await?;
///     // …
///     Ok(system.stop().await.into())
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "return it from `main`, or look at its `result`"]
pub struct Exit(Result<StopReport, StopError>);

impl Exit {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match &self.0 {
            Ok(_) => 0,
            Err(
                StopError::NoSignals(_) | StopError::InHandler { .. } | StopError::AlreadyStopped,
            ) => 1,
            Err(StopError::DeadlineExceeded(_)) => 3,
            Err(StopError::Stuck { .. }) => 4,
            Err(StopError::Escalated(_)) => 5,
            // 128 and the signal's number, as shells have it.
            Err(StopError::Interrupted(report)) => match report.reason {
                StopReason::Signal("SIGTERM") => 128 + 15,
                _ => 128 + 2,
            },
        }
    }

    /// How the stop went.
    ///
    /// # Errors
    /// As [`System::stop`](crate::System::stop).
    #[expect(
        clippy::result_large_err,
        reason = "moved once in the life of a program"
    )]
    pub fn result(self) -> Result<StopReport, StopError> {
        self.0
    }
}

impl From<Result<StopReport, StopError>> for Exit {
    fn from(stopped: Result<StopReport, StopError>) -> Self {
        Exit(stopped)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(report) => report.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        if self.0.is_err() {
            eprintln!("Error: {self}");
        }
        self.code().into()
    }
}

impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StopReport { ledger, took, .. } = self;
        match &self.reason {
            StopReason::Requested => write!(f, "stopped in {took:?}")?,
            reason => write!(f, "stopped in {took:?} ({reason})")?,
        }
        let (handled, sent) = (ledger.handled, ledger.sent);
        write!(f, ": {handled} of {sent} messages handled")?;
        for failure in &self.before_stop {
            write!(f, "; what ran before it failed: {failure}")?;
        }
        for failure in &self.failed_hooks {
            write!(f, "; the last hook of {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::envelope::pool::Pool;
    use crate::keepers::supervisor::snapshot::Snapshot;
    use crate::thread::stamps::Stamps;
    use crate::words::ledger::Ledger;
    use crate::words::supervision::Failure;

    fn report(reason: StopReason) -> StopReport {
        let ledger = Ledger {
            sent: 5,
            handled: 2,
            failed: 1,
            undeliverable: 2,
            ..Ledger::default()
        };
        let pool = Pool::new(1);
        let snapshot = Snapshot {
            system: "test".into(),
            stamps: Stamps::Own,
            strategy: "round-robin",
            total: ledger,
            pool: pool.stats(),
            dead_letters: 0,
            last_dead_letters: Vec::new(),
            subsystems: Vec::new(),
            kinds: Vec::new(),
            topics: crate::books::topics::TopicsSnapshot::default(),
        };
        StopReport {
            ledger,
            took: Duration::from_millis(20),
            reason,
            failed_hooks: Vec::new(),
            snapshot: snapshot.into(),
            before_stop: Vec::new(),
        }
    }

    #[test]
    fn every_way_to_stop_has_its_code_and_says_how_the_messages_ended() {
        let requested = || report(StopReason::Requested);
        let signal = |name| report(StopReason::Signal(name));
        let escalated = report(StopReason::Escalated {
            subsystem: "api".into(),
            failure: Failure::Stopped,
        });
        let stuck = StopError::Stuck {
            subsystems: vec!["a".into(), "b".into()],
            ledger: requested().ledger,
        };
        let ways = [
            (
                Ok(requested()),
                0,
                "stopped in 20ms: 2 of 5 messages handled",
            ),
            (
                Ok(signal("SIGINT")),
                0,
                "stopped in 20ms (SIGINT): 2 of 5 messages handled",
            ),
            (
                Err(StopError::NoSignals("too many".into())),
                1,
                "the operating system gives no signals, the system was not stopped: too many",
            ),
            (
                Err(StopError::InHandler {
                    subsystem: "api".into(),
                }),
                1,
                "a handler of `api` can't wait for the end of its own system, which was not stopped; spawn a task that stops it",
            ),
            (
                Err(StopError::AlreadyStopped),
                1,
                "the system was stopped before",
            ),
            (
                Err(StopError::DeadlineExceeded(requested())),
                3,
                "the stop's deadline passed after 20ms: 2 messages were undeliverable, 1 failed",
            ),
            (
                Err(stuck),
                4,
                "handlers of a, b block their thread; it is left behind",
            ),
            (
                Err(StopError::Escalated(escalated)),
                5,
                "the system stopped by itself: `api` failed too often, last: it stopped itself",
            ),
            (
                Err(StopError::Interrupted(signal("SIGINT"))),
                130,
                "SIGINT ended the stop after 20ms: 2 messages were undeliverable, 1 failed",
            ),
            (
                Err(StopError::Interrupted(signal("SIGTERM"))),
                143,
                "SIGTERM ended the stop after 20ms: 2 messages were undeliverable, 1 failed",
            ),
        ];
        for (stopped, code, words) in ways {
            let exit = Exit::from(stopped);
            assert_eq!((exit.code(), &*exit.to_string()), (code, words));
        }
    }
}
