//! Why a system stopped.

use std::sync::Arc;

use crate::words::supervision::Failure;

/// Why a system stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// It was told to.
    Requested,
    /// A signal of the operating system told it to.
    Signal(&'static str),
    /// A subsystem without a parent failed too often.
    Escalated {
        /// The subsystem.
        subsystem: Arc<str>,
        /// How it failed last.
        failure: Failure,
    },
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopReason::Requested => write!(f, "it was told to"),
            StopReason::Signal(signal) => write!(f, "{signal}"),
            StopReason::Escalated { subsystem, failure } => {
                write!(f, "`{subsystem}` failed too often, last: {failure}")
            }
        }
    }
}
