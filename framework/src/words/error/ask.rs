//! Why an ask has no reply.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::Undelivered;

/// Why an ask has no reply.
///
/// The handler's own error is the [`source`](std::error::Error::source), and is not in the text: `{error:#}`
/// writes the text with all its causes. [`failure`](Self::failure) finds an error of a given type there.
#[derive(Error)]
#[non_exhaustive]
pub enum AskError<M> {
    /// The message was not accepted; it is handed back.
    #[error("{0}")]
    Undelivered(Undelivered<M>),
    /// The handler returned an error; here it is.
    #[error(fmt = fmt_failed::<M>)]
    Failed(#[source] anyhow::Error),
    /// The handler panicked; its subsystem has been restarted.
    #[error("the handler of `{}` in `{subsystem}` panicked: {message}", type_name::<M>())]
    Panicked {
        /// The receiver.
        subsystem: Arc<str>,
        /// The panic's message.
        message: Box<str>,
    },
    /// No reply came in time. The message may be in its handler all the same; if it had not begun, it
    /// will not be handled. Or its handler was cut off: its route [has](crate::RouteOptions::within) no more time
    /// for it.
    #[error("`{subsystem}` did not answer `{}` within {deadline:?}; if its handler had begun, it may still go on", type_name::<M>())]
    DeadlineExceeded {
        /// The receiver.
        subsystem: Arc<str>,
        /// How long the ask had, in a handler no longer than the message that it handled; or how long its own
        /// handler had.
        deadline: Duration,
    },
    /// The message was accepted, and waiting for the reply would never have ended: a blocking handler asked,
    /// and the reply waits for the thread that it holds. The message may be handled all the same.
    #[error("`{subsystem}` could never have answered `{}`: {cycle}; use more threads for blocking handlers, or break the cycle", type_name::<M>())]
    WaitCycle {
        /// The receiver.
        subsystem: Arc<str>,
        /// Who waits for whom, as `a -> b -> …`.
        cycle: Box<str>,
    },
    /// The message was accepted, and then dropped to make room for a newer one; it was not handled.
    #[error("`{subsystem}` dropped `{}` to make room for newer messages; ask again later", type_name::<M>())]
    Dropped {
        /// The receiver.
        subsystem: Arc<str>,
    },
    /// The message was accepted, and then [cleared](crate::System::clear) out of the mailbox; it was not handled.
    #[error("`{}` was cleared out of the mailbox of `{subsystem}`; ask again", type_name::<M>())]
    Cleared {
        /// The receiver.
        subsystem: Arc<str>,
    },
    /// The handler took its [`Reply`](crate::extract::Reply) to answer later, and that was dropped without an
    /// answer.
    #[error("`{subsystem}` took `{}` to answer it later, and dropped its reply without an answer", type_name::<M>())]
    NoReply {
        /// The receiver.
        subsystem: Arc<str>,
    },
    /// The message was accepted, and then its subsystem stopped, or came to take other messages,
    /// before a handler had ended.
    #[error("`{subsystem}` stopped, or came to take other messages, before it answered `{}`", type_name::<M>())]
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
            AskError::Dropped { .. } | AskError::Cleared { .. } => true,
            _ => false,
        }
    }

    /// How long to wait before the same ask is tried again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            AskError::Undelivered(undelivered) => undelivered.reason().retry_after(),
            _ => None,
        }
    }

    /// The error of type `E` among the causes of a handler's failure. It is found through any number of
    /// handlers that asked each other and passed the error on with `?`.
    ///
    /// In an [`anyhow::Error`] look through its [`chain`](anyhow::Error::chain) for it.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// #[derive(Debug)]
    /// struct Broke {
    ///     left: u64,
    /// }
    /// # impl std::fmt::Display for Broke {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    /// #         write!(f, "only {} left", self.left)
    /// #     }
    /// # }
    ///
    /// impl std::error::Error for Broke {}
    ///
    /// #[derive(Message)]
    /// #[message(reply = u64)]
    /// struct Withdraw(u64);
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Bank;
    ///
    /// #[routes]
    /// impl Bank {
    ///     #[route("withdraw")]
    ///     fn withdraw(&mut self, _: Withdraw) -> Result<u64, Broke> {
    ///         Err(Broke { left: 4 })
    ///     }
    /// }
    ///
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().threads(1).start().await?;
    /// # system.mount(Bank::default).await?;
    /// let error = system.ask("bank://withdraw", Withdraw(9)).await.unwrap_err();
    /// assert_eq!(error.failure::<Broke>().unwrap().left, 4);
    /// assert!(format!("{error:#}").ends_with("Withdraw` failed: only 4 left"));
    ///
    /// // The same after it has become an `anyhow::Error`, perhaps in the handler of another subsystem.
    /// let error = anyhow::Error::from(error);
    /// let broke = error.chain().find_map(|cause| cause.downcast_ref::<Broke>());
    /// assert_eq!(broke.unwrap().left, 4);
    /// # Ok(()) }
    /// ```
    pub fn failure<E: std::error::Error + Send + Sync + 'static>(&self) -> Option<&E> {
        let AskError::Failed(error) = self else {
            return None;
        };
        let in_chain = || error.chain().find_map(|cause| cause.downcast_ref());
        // What was given as a context is no link of the chain.
        error.downcast_ref().or_else(in_chain)
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
            AskError::WaitCycle { subsystem, cycle } => f
                .debug_struct("WaitCycle")
                .field("subsystem", subsystem)
                .field("cycle", cycle)
                .finish(),
            AskError::Dropped { subsystem } => f
                .debug_struct("Dropped")
                .field("subsystem", subsystem)
                .finish(),
            AskError::Cleared { subsystem } => f
                .debug_struct("Cleared")
                .field("subsystem", subsystem)
                .finish(),
            AskError::NoReply { subsystem } => f
                .debug_struct("NoReply")
                .field("subsystem", subsystem)
                .finish(),
            AskError::Unhandled { subsystem } => f
                .debug_struct("Unhandled")
                .field("subsystem", subsystem)
                .finish(),
        }
    }
}

/// Writes the causes too for `{:#}`.
fn fmt_failed<M>(error: &anyhow::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "the handler of `{}` failed", type_name::<M>())?;
    match f.alternate() {
        true => write!(f, ": {error:#}"),
        false => Ok(()),
    }
}
