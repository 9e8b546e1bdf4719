//! Errors: one enum per failing verb, each variant a fact.
//!
//! A send that fails hands the message back ([`Undelivered`]); every error says whether sending again
//! can help. Lower case, no full stop, what to do after the semicolon.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mycelia_core::{Ambiguous, PathError, PatternError};

/// Which room was lacking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Room {
    /// Every envelope of the system's pool is in flight.
    Pool,
    /// The subsystem's own mailbox is at its capacity.
    Mailbox,
}

/// Why a message was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The text is not a path.
    BadPath(PathError),
    /// No subsystem of that name is mounted.
    NoSubsystem {
        /// The name, the part before `://`.
        name: Box<str>,
    },
    /// The subsystem has no route for the path.
    NoRoute {
        /// The path, or the pattern that a handle was to be resolved for.
        path: Box<str>,
    },
    /// The route takes other messages.
    WrongMessage {
        /// The route's pattern, with its subsystem.
        route: Box<str>,
        /// The type that was sent.
        sent: &'static str,
        /// The types that the route takes.
        takes: Box<[&'static str]>,
    },
    /// A capture of the path is not of the type that the handler wants.
    BadCapture {
        /// The route's pattern, with its subsystem.
        route: Box<str>,
        /// What is wrong with which capture.
        error: Box<CaptureError>,
    },
    /// There is no room now.
    Full {
        /// The receiver.
        subsystem: Arc<str>,
        /// What is full.
        room: Room,
    },
    /// The subsystem was unmounted, or has stopped for good.
    Closed {
        /// The receiver.
        subsystem: Arc<str>,
    },
    /// The system has stopped, or is stopping.
    Stopped,
    /// Waiting would never have ended: everyone who could make room, or reply, waits for the sender.
    WaitCycle {
        /// Who waits for whom, as `a -> b -> a`.
        cycle: Box<str>,
    },
}

impl SendError {
    /// True if the same send can succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, SendError::Full { .. } | SendError::WaitCycle { .. })
    }

    /// True if there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, SendError::Full { .. })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::BadPath(error) => write!(f, "bad path: {error}"),
            SendError::NoSubsystem { name } => write!(
                f,
                "no subsystem `{name}` is mounted; mount it, or correct the part before `://`"
            ),
            SendError::NoRoute { path } => {
                write!(f, "no route matches `{path}`; its subsystem is mounted")
            }
            SendError::WrongMessage { route, sent, takes } => {
                write!(f, "`{route}` does not take a `{sent}`; it takes ")?;
                for (i, name) in takes.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}`{name}`")?;
                }
                Ok(())
            }
            SendError::BadCapture { route, error } => write!(f, "`{route}`: {error}"),
            SendError::Full {
                subsystem,
                room: Room::Pool,
            } => write!(
                f,
                "no envelope is free for `{subsystem}`, all are in flight; try later, use `tell`, which waits, or enlarge the pool"
            ),
            SendError::Full {
                subsystem,
                room: Room::Mailbox,
            } => write!(
                f,
                "the mailbox of `{subsystem}` is full; try later, or use `tell`, which waits"
            ),
            SendError::Closed { subsystem } => {
                write!(
                    f,
                    "`{subsystem}` is closed: it was unmounted or has stopped"
                )
            }
            SendError::Stopped => write!(f, "the system has stopped or is stopping"),
            SendError::WaitCycle { cycle } => write!(
                f,
                "waiting would never end: {cycle}; enlarge the pool, use `try_tell`, or break the cycle"
            ),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SendError::BadPath(error) => Some(error),
            SendError::BadCapture { error, .. } => Some(error),
            _ => None,
        }
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
///     if undelivered.reason.is_retryable() {
///         let ping: Ping = undelivered.into_message();
///     }
/// }
/// # }
/// ```
pub struct Undelivered<M> {
    /// Why.
    pub reason: SendError,
    message: sync_wrapper::SyncWrapper<M>,
}

impl<M> Undelivered<M> {
    pub(crate) fn new(reason: SendError, message: M) -> Self {
        Undelivered {
            reason,
            message: sync_wrapper::SyncWrapper::new(message),
        }
    }

    /// The message, handed back.
    pub fn into_message(self) -> M {
        self.message.into_inner()
    }

    /// Splits into both parts.
    pub fn into_parts(self) -> (SendError, M) {
        (self.reason, self.message.into_inner())
    }
}

impl<M> fmt::Debug for Undelivered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undelivered")
            .field("message", &std::any::type_name::<M>())
            .field("reason", &self.reason)
            .finish()
    }
}

impl<M> fmt::Display for Undelivered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` was not sent: {}",
            std::any::type_name::<M>(),
            self.reason
        )
    }
}

impl<M> std::error::Error for Undelivered<M> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

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
    /// No reply came in time. The message may have been handled all the same.
    DeadlineExceeded {
        /// The receiver.
        subsystem: Arc<str>,
        /// How long the ask had.
        deadline: Duration,
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
        matches!(self, AskError::Undelivered(undelivered) if undelivered.reason.is_retryable())
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
                "`{subsystem}` did not answer `{name}` within {deadline:?}; it may still handle it"
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
            AskError::Undelivered(undelivered) => Some(undelivered.reason_error()),
            AskError::Failed(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl<M> Undelivered<M> {
    fn reason_error(&self) -> &(dyn std::error::Error + 'static) {
        &self.reason
    }
}

/// A capture that does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureError {
    /// The text is not of the wanted type.
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
    Missing {
        /// Which capture, counted from 0.
        index: usize,
    },
    /// The caller of `at` gave more captures than the pattern has.
    TooMany {
        /// How many the pattern has.
        pattern: usize,
        /// How many were given.
        given: usize,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Unparsable {
                index,
                text,
                wanted,
                error,
            } => write!(f, "capture {index}, `{text}`, is not a `{wanted}`: {error}"),
            CaptureError::Missing { index } => {
                write!(f, "capture {index} is missing; give it with `at`")
            }
            CaptureError::TooMany { pattern, given } => write!(
                f,
                "{given} captures were given where the pattern has {pattern}"
            ),
        }
    }
}

impl std::error::Error for CaptureError {}

/// Why a subsystem was not mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountError {
    /// The name is taken.
    NameTaken {
        /// The name.
        name: Box<str>,
    },
    /// The name can't be the scheme of a path.
    BadName {
        /// The name.
        name: Box<str>,
    },
    /// A pattern has a mistake.
    BadPattern {
        /// The pattern.
        pattern: Box<str>,
        /// What is wrong with it.
        error: PatternError,
    },
    /// Two patterns match the same paths.
    Ambiguous(Ambiguous),
    /// Two handlers take the same message on the same pattern.
    DuplicateRoute {
        /// The pattern.
        pattern: Box<str>,
        /// The message's type.
        message: &'static str,
    },
    /// A handler wants shared state that the system was not built with.
    NoState {
        /// The type of the state.
        state: &'static str,
    },
    /// The system has no such thread.
    NoThread {
        /// The thread that was asked for.
        thread: usize,
        /// How many there are.
        threads: usize,
    },
    /// The factory panicked.
    Panicked {
        /// The panic's message.
        message: Box<str>,
    },
    /// The system has stopped, or is stopping.
    Stopped,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountError::NameTaken { name } => write!(
                f,
                "a subsystem `{name}` is mounted already; unmount it, or use `mount_as` with another name"
            ),
            MountError::BadName { name } => write!(
                f,
                "`{name}` can't be the name of a subsystem; use 1 to 64 of the characters A-Z a-z 0-9 _ . -"
            ),
            MountError::BadPattern { pattern, error } => {
                write!(f, "pattern `{pattern}`: {error}")
            }
            MountError::Ambiguous(ambiguous) => ambiguous.fmt(f),
            MountError::DuplicateRoute { pattern, message } => {
                write!(f, "two handlers take `{message}` on `{pattern}`")
            }
            MountError::NoState { state } => write!(
                f,
                "a handler takes `State<{state}>`; give it with `System::builder().state(…)`"
            ),
            MountError::NoThread { thread, threads } => {
                write!(f, "there is no thread {thread}; the system has {threads}")
            }
            MountError::Panicked { message } => write!(f, "the factory panicked: {message}"),
            MountError::Stopped => write!(f, "the system has stopped or is stopping"),
        }
    }
}

impl std::error::Error for MountError {}

/// Why a system did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    BadSetting {
        /// The setting.
        setting: &'static str,
        /// What it must be.
        must_be: &'static str,
    },
    /// A thread could not be started.
    Thread(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::BadSetting { setting, must_be } => {
                write!(f, "`{setting}` must be {must_be}")
            }
            StartError::Thread(error) => write!(f, "a thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Thread(error) => Some(error),
            StartError::BadSetting { .. } => None,
        }
    }
}

/// Why a subsystem was not unmounted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnmountError {
    /// No subsystem of that name is mounted.
    NoSubsystem {
        /// The name.
        name: Box<str>,
    },
    /// The system has stopped, or is stopping.
    Stopped,
}

impl fmt::Display for UnmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnmountError::NoSubsystem { name } => write!(f, "no subsystem `{name}` is mounted"),
            UnmountError::Stopped => write!(f, "the system has stopped or is stopping"),
        }
    }
}

impl std::error::Error for UnmountError {}
