//! How a program ends whose system has stopped: what `main` gives back.

use std::fmt;
use std::process::{ExitCode, Termination};

use super::{StopError, StopReport};
use crate::shared::StopReason;

/// The end of a program that ran a system: give it back from `main`, and the process's exit code tells
/// how its system stopped. What went wrong is written to the standard error, as for any error of `main`.
///
/// | code | the system |
/// |---|---|
/// | 0 | handled every message that it had accepted |
/// | 1 | got no signals from the operating system, or was stopped before; `main`'s own errors have this code too |
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "give it back from `main`, or look at its `result`"]
pub struct Exit(Result<StopReport, StopError>);

impl Exit {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match &self.0 {
            Ok(_) => 0,
            Err(StopError::NoSignals(_) | StopError::AlreadyStopped) => 1,
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
        write!(f, ": {handled} of {sent} messages handled")
    }
}
