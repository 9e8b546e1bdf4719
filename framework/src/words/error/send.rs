//! Why a message was not accepted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mycelia_core::PathError;
use sync_wrapper::SyncWrapper;
use thiserror::Error;

/// Which room was lacking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Room {
    /// Every envelope of the system's pool that the receiver may have is in flight. The last ones are
    /// kept for subsystems that hold few messages; see [`Builder::pool`](crate::Builder::pool).
    Pool,
    /// The subsystem's own mailbox is at its capacity.
    Mailbox,
    /// The subsystem is [mounted on demand](crate::System::mount_on_demand), and does not stand yet: its mount
    /// has been asked for. Or replicas were [resized](crate::System::resize), and the one that had the message's
    /// key has not ended yet what it had before.
    Start,
}

/// Why a message was not accepted.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The text is not a path.
    #[error("bad path: {0}")]
    BadPath(PathError),
    /// No subsystem of that name is mounted.
    #[error("no subsystem `{name}` is mounted; mount it, or correct the part before `://`")]
    NoSubsystem {
        /// The name, the part before `://`.
        name: Box<str>,
    },
    /// The subsystem has no route for the path.
    #[error("no route matches `{path}`; its subsystem is mounted")]
    NoRoute {
        /// The path, or the pattern of the handle.
        path: Box<str>,
    },
    /// The route takes other messages.
    #[error("`{route}` does not take a `{sent}`; it takes `{}`", .takes.join("`, `"))]
    WrongMessage {
        /// The route's pattern, with its subsystem.
        route: Box<str>,
        /// The type that was sent.
        sent: &'static str,
        /// The types that the route takes.
        takes: Box<[&'static str]>,
    },
    /// A capture of the path is not of the type that the handler wants.
    #[error("`{route}`: {error}")]
    BadCapture {
        /// The route's pattern, with its subsystem.
        route: Box<str>,
        /// What is wrong with which capture.
        error: Box<CaptureError>,
    },
    /// There is no room now.
    #[error(fmt = fmt_full)]
    Full {
        /// The receiver.
        subsystem: Arc<str>,
        /// What is full.
        room: Room,
    },
    /// A layer of the handle, or the [admission](crate::schedule::Admission) of the route, refused it: a rate limit
    /// for instance. Nothing was sent.
    #[error(fmt = fmt_refused)]
    Refused {
        /// The receiver.
        subsystem: Arc<str>,
        /// What refused it: the name of the layer's type, or `admission`.
        by: &'static str,
        /// How long it will be refused at least; `Duration::MAX` for always.
        retry_after: Duration,
    },
    /// The subsystem was unmounted, or has stopped for good.
    #[error("`{subsystem}` is closed: it was unmounted or has stopped")]
    Closed {
        /// The receiver.
        subsystem: Arc<str>,
    },
    /// The subsystem was to be [mounted on demand](crate::System::mount_on_demand), and its start failed: its
    /// factory panicked, or a hook. Sending again is safe, and tries again.
    #[error("`{subsystem}` could not be started: {message}")]
    StartFailed {
        /// The receiver.
        subsystem: Arc<str>,
        /// The panic's message, or the error's.
        message: Box<str>,
    },
    /// The value is not one that the setting can have. Nothing was sent.
    #[error("`{setting}` must be {must_be}")]
    BadSetting {
        /// The setting.
        setting: &'static str,
        /// What it must be.
        must_be: &'static str,
    },
    /// Only the framework publishes on topics of that name.
    #[error("only the framework publishes on `{name}://…`; choose another name")]
    Reserved {
        /// The name.
        name: Box<str>,
    },
    /// The system has stopped, or is stopping.
    #[error("the system has stopped or is stopping")]
    Stopped,
    /// A handler that is not `async`, or blocks its thread, can't wait for a reply there: the one asked may live
    /// on the same thread.
    #[error(
        "a handler that is not `async` can't wait for a reply of `{subsystem}`; make it `async` and await the ask, or mark its route `blocking`"
    )]
    WouldBlock {
        /// The receiver.
        subsystem: Arc<str>,
    },
    /// Waiting would never have ended: everyone who could make room, or reply, waits for the sender.
    #[error(
        "waiting would never end: {cycle}; break the cycle, or where envelopes are lacking enlarge the pool or use `try_tell`"
    )]
    WaitCycle {
        /// Who waits for whom, as `a -> b -> a`.
        cycle: Box<str>,
    },
}

impl SendError {
    /// True if the same send can succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            SendError::Full { .. } => true,
            SendError::Refused { retry_after, .. } => *retry_after < Duration::MAX,
            _ => false,
        }
    }

    /// How long to wait before the same send is tried again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            SendError::Refused { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// True if there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, SendError::Full { .. })
    }
}

fn fmt_refused(
    subsystem: &str,
    by: &str,
    retry_after: &Duration,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "`{by}` refused it, before it came to `{subsystem}`; ")?;
    match *retry_after {
        Duration::MAX => f.write_str("it will do so again"),
        retry_after => write!(f, "try again in {retry_after:?}"),
    }
}

fn fmt_full(subsystem: &str, room: &Room, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match room {
        Room::Pool => write!(
            f,
            "no envelope is free for `{subsystem}`, all that it may have are in flight; try later, use `tell`, which waits, or enlarge the pool"
        ),
        Room::Mailbox => write!(
            f,
            "the mailbox of `{subsystem}` is full; try later, or use `tell`, which waits"
        ),
        Room::Start => write!(
            f,
            "`{subsystem}` is being mounted, or its keys go to another; try later, or use `tell`, which waits"
        ),
    }
}

/// A message that was not accepted, and why.
///
/// # Examples
/// ```
/// # use mycelia::prelude::*;
/// # #[derive(Message)] struct Ping(u32);
/// # fn example(system: &System) {
/// if let Err(undelivered) = system.try_tell("api://ping", Ping(7)) {
///     eprintln!("{undelivered}");
///     if undelivered.reason().is_retryable() {
///         let ping: Ping = undelivered.into_message();
///     }
/// }
/// # }
/// ```
#[derive(Error)]
#[error("`{}` was not sent: {}", std::any::type_name::<M>(), self.reason())]
pub struct Undelivered<M>(Box<Parts<M>>);

/// Boxed: moving the unused room for it would cost a sender whose message is accepted 3 ns.
struct Parts<M> {
    reason: SendError,
    message: SyncWrapper<M>,
}

impl<M> Undelivered<M> {
    /// Hands a message back, for code that stands between a sender and a handle.
    pub fn new(reason: SendError, message: M) -> Self {
        let message = SyncWrapper::new(message);
        Undelivered(Box::new(Parts { reason, message }))
    }

    /// Why it was not accepted.
    pub fn reason(&self) -> &SendError {
        &self.0.reason
    }

    /// Why it was not accepted; the message is dropped.
    pub fn into_reason(self) -> SendError {
        self.0.reason
    }

    /// The message, handed back.
    pub fn into_message(self) -> M {
        self.0.message.into_inner()
    }

    /// Splits into both parts.
    pub fn into_parts(self) -> (SendError, M) {
        let Parts { reason, message } = *self.0;
        (reason, message.into_inner())
    }
}

impl<M> fmt::Debug for Undelivered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undelivered")
            .field("message", &std::any::type_name::<M>())
            .field("reason", self.reason())
            .finish()
    }
}

/// A capture that does not parse.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureError {
    /// The text is not of the wanted type.
    #[error("capture {index}, `{text}`, is not a `{wanted}`: {error}")]
    Unparsable {
        /// Which capture, counted from 0.
        index: usize,
        /// Its text.
        text: Box<str>,
        /// The type that the handler wants.
        wanted: &'static str,
        /// What the parser said.
        error: Box<str>,
    },
    /// The path, or the caller of `at`, gave fewer captures than the handler takes.
    #[error("capture {index} is missing; give it with `at`")]
    Missing {
        /// Which capture, counted from 0.
        index: usize,
    },
    /// The caller of `at` gave more captures than the pattern has.
    #[error("{given} captures were given where the pattern has {pattern}")]
    TooMany {
        /// How many the pattern has.
        pattern: usize,
        /// How many were given.
        given: usize,
    },
}
