//! Why an ask has no reply.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Undelivered;

/// Why an ask has no reply.
#[non_exhaustive]
pub enum AskError<M> {
    /// The message was not accepted; it is handed back.
    Undelivered(Undelivered<M>),
    /// The handler returned an error.
    Failed(anyhow::Error),
    /// The handler panicked; its subsystem has been restarted.
    Panicked {
        /// The receiver.
        subsystem: Arc<str>,
        /// The panic's message.
        message: Box<str>,
    },
    /// No reply came in time. The message may be in its handler all the same; if it had not begun, it
    /// will not be handled.
    DeadlineExceeded {
        /// The receiver.
        subsystem: Arc<str>,
        /// How long the ask had; in a handler no longer than the message that it handled.
        deadline: Duration,
    },
    /// The message was accepted, and then dropped to make room for a newer one; it was not handled.
    Dropped {
        /// The receiver.
        subsystem: Arc<str>,
    },
    /// The message was accepted, and then its subsystem stopped, or came to take other messages,
    /// before a handler had ended.
    Unhandled {
        /// The receiver.
        subsystem: Arc<str>,
    },
}

impl<M> AskError<M> {
    /// True if the same ask can succeed later and was certainly not handled before.
    pub fn is_retryable(&self) -> bool {
        match self {
            AskError::Undelivered(undelivered) => undelivered.reason().is_retryable(),
            AskError::Dropped { .. } => true,
            _ => false,
        }
    }
}

impl<M> From<Undelivered<M>> for AskError<M> {
    fn from(undelivered: Undelivered<M>) -> Self {
        AskError::Undelivered(undelivered)
    }
}

impl<M> fmt::Debug for AskError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Undelivered(undelivered) => undelivered.fmt(f),
            AskError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            AskError::Panicked { subsystem, message } => f
                .debug_struct("Panicked")
                .field("subsystem", subsystem)
                .field("message", message)
                .finish(),
            AskError::DeadlineExceeded {
                subsystem,
                deadline,
            } => f
                .debug_struct("DeadlineExceeded")
                .field("subsystem", subsystem)
                .field("deadline", deadline)
                .finish(),
            AskError::Dropped { subsystem } => f
                .debug_struct("Dropped")
                .field("subsystem", subsystem)
                .finish(),
            AskError::Unhandled { subsystem } => f
                .debug_struct("Unhandled")
                .field("subsystem", subsystem)
                .finish(),
        }
    }
}

impl<M> fmt::Display for AskError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<M>();
        match self {
            AskError::Undelivered(undelivered) => undelivered.fmt(f),
            AskError::Failed(error) => write!(f, "the handler of `{name}` failed: {error}"),
            AskError::Panicked { subsystem, message } => write!(
                f,
                "the handler of `{name}` in `{subsystem}` panicked: {message}"
            ),
            AskError::DeadlineExceeded {
                subsystem,
                deadline,
            } => write!(
                f,
                "`{subsystem}` did not answer `{name}` within {deadline:?}; if its handler had begun, it may still go on"
            ),
            AskError::Dropped { subsystem } => write!(
                f,
                "`{subsystem}` dropped `{name}` to make room for newer messages; ask again later"
            ),
            AskError::Unhandled { subsystem } => write!(
                f,
                "`{subsystem}` stopped, or came to take other messages, before it answered `{name}`"
            ),
        }
    }
}

impl<M> std::error::Error for AskError<M> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The text of the handler's own error stands in ours; its causes do not.
            AskError::Failed(error) => error.source(),
            _ => None,
        }
    }
}
