//! Why the keepers did not start, mount or unmount.

use std::fmt;
use std::sync::Arc;

use mycelia_core::{Ambiguous, PatternError};

use crate::ledger::Ledger;

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
    /// The factory panicked, or a hook of the start failed.
    StartFailed {
        /// The panic's message, or the error's.
        message: Box<str>,
    },
    /// No subsystem of that name is mounted to be the parent.
    NoParent {
        /// The name.
        name: Box<str>,
    },
    /// Replicas are to be chosen by a capture that no route has.
    NoCapture {
        /// The capture's name.
        name: Box<str>,
    },
    /// Several are to be mounted at once below different parents.
    SeveralParents,
    /// The parent failed and is being made anew, or has been meanwhile: the children of its old value end
    /// with that. Mounting again is safe, and succeeds once the parent is there.
    Restarting {
        /// The parent's name.
        parent: Box<str>,
    },
    /// The system, or the parent, has stopped or is stopping: there is nothing to mount below any more.
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
            MountError::StartFailed { message } => {
                write!(f, "the subsystem could not be started: {message}")
            }
            MountError::NoParent { name } => write!(
                f,
                "no subsystem `{name}` is mounted to be the parent; mount it first (replicas have children one by one)"
            ),
            MountError::NoCapture { name } => write!(
                f,
                "replicas are to be chosen by `{{{name}}}`, and no route has that capture"
            ),
            MountError::SeveralParents => write!(
                f,
                "subsystems mounted at once must have the same parent, or none"
            ),
            MountError::Restarting { parent } => write!(
                f,
                "the parent `{parent}` is being made anew, and children of its old value end with that; mount again when it is there"
            ),
            MountError::Stopped => {
                write!(f, "the system, or the parent, has stopped or is stopping")
            }
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

/// A last hook, [`#[stopped]`](crate::routes), that failed: what it was to save may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookFailure {
    /// The subsystem whose hook it was.
    pub subsystem: Arc<str>,
    /// Its error, or its panic, or that it did not come to its end.
    pub message: Arc<str>,
}

impl fmt::Display for HookFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.subsystem, self.message)
    }
}

/// Why a subsystem was not unmounted, or not well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnmountError {
    /// No subsystem of that name is mounted.
    NoSubsystem {
        /// The name.
        name: Box<str>,
    },
    /// It was unmounted, with its children; but last hooks of theirs failed.
    HooksFailed {
        /// Whose, and how: the children before their parents, the youngest first.
        failed: Vec<HookFailure>,
        /// The final account, as an unmount without failure returns it.
        ledger: Ledger,
    },
    /// The system has stopped, or is stopping.
    Stopped,
}

impl fmt::Display for UnmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnmountError::NoSubsystem { name } => write!(f, "no subsystem `{name}` is mounted"),
            UnmountError::HooksFailed { failed, .. } => {
                write!(f, "it was unmounted, but its last hook failed: ")?;
                for (n, failure) in failed.iter().enumerate() {
                    let comma = if n == 0 { "" } else { ", " };
                    write!(f, "{comma}{failure}")?;
                }
                Ok(())
            }
            UnmountError::Stopped => write!(f, "the system has stopped or is stopping"),
        }
    }
}

impl std::error::Error for UnmountError {}
