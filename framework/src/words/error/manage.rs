//! Why a subsystem was not restarted, paused, resumed or cleared.

use thiserror::Error;

/// Why a subsystem was not restarted, paused, resumed or cleared. Of [replicas](crate::Replicas) it tells of the
/// first that was not; the others were.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManageError {
    /// No subsystem of that name is mounted.
    #[error("no subsystem `{name}` is mounted")]
    NoSubsystem {
        /// The name.
        name: Box<str>,
    },
    /// It is stopping, is being unmounted, or has failed for good: it is drained, and nothing else.
    #[error("`{subsystem}` is stopping, or has failed for good")]
    Stopping {
        /// The subsystem.
        subsystem: Box<str>,
    },
    /// A handler that is [stuck](crate::observe::Stuck) holds the thread, or the subsystem's value. What was wanted
    /// is done as soon as that handler returns; it need not be asked for again.
    #[error(
        "a handler of `{holder}` does not return; it is done to `{subsystem}` when it has, do not ask again"
    )]
    Stuck {
        /// The subsystem.
        subsystem: Box<str>,
        /// The one whose handler does not return: itself, or another one on its thread.
        holder: Box<str>,
    },
    /// It was restarted and has failed again. What follows is what its policy says.
    #[error("`{subsystem}` was restarted and has failed again: {failure}")]
    Failed {
        /// The subsystem.
        subsystem: Box<str>,
        /// Its last failure.
        failure: Box<str>,
    },
    /// A handler that is not `async` can't wait for it.
    #[error(
        "a handler that is not `async` can't wait for another subsystem; make it `async`, or mark its route `blocking`"
    )]
    WouldBlock,
    /// The system has stopped.
    #[error("the system has stopped")]
    Stopped,
}

impl ManageError {
    /// True if the same call can succeed later, and has not to wait for anything but time.
    pub fn is_retryable(&self) -> bool {
        matches!(self, ManageError::Failed { .. })
    }
}
