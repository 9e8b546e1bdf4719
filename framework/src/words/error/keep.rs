//! Why the keepers did not start, mount or unmount.

use std::fmt;
use std::sync::Arc;

use mycelia_core::{
    Ambiguous, MAX_FULL_NAME_LEN, MAX_NAME_LEN, PathError, PatternError, check_name,
};

use crate::words::ledger::Ledger;

/// Why a subsystem was not mounted.
///
/// It names the subsystem, with its parents' names before its own; of several that were to be mounted
/// at once the first that is at fault, or what they share.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountError {
    /// The name is taken.
    NameTaken {
        /// The name.
        name: Box<str>,
    },
    /// The name can't be the scheme of a path: it has a character that no name may have, or it is too
    /// long. The text says which.
    BadName {
        /// The name.
        name: Box<str>,
    },
    /// An option has a value that it can't have.
    BadSetting {
        /// The subsystem.
        subsystem: Box<str>,
        /// The option.
        setting: &'static str,
        /// What it must be.
        must_be: &'static str,
    },
    /// A pattern has a mistake.
    BadPattern {
        /// The subsystem.
        subsystem: Box<str>,
        /// The pattern.
        pattern: Box<str>,
        /// What is wrong with it.
        error: PatternError,
    },
    /// Two patterns match the same paths.
    Ambiguous {
        /// The subsystem.
        subsystem: Box<str>,
        /// Which two.
        error: Ambiguous,
    },
    /// Two handlers take the same message on the same pattern.
    DuplicateRoute {
        /// The subsystem.
        subsystem: Box<str>,
        /// The pattern.
        pattern: Box<str>,
        /// The message's type.
        message: &'static str,
    },
    /// A handler wants shared state that the system was not built with.
    NoState {
        /// The subsystem.
        subsystem: Box<str>,
        /// The type of the state.
        state: &'static str,
    },
    /// The system has no such thread.
    NoThread {
        /// The subsystem.
        subsystem: Box<str>,
        /// The thread that was asked for.
        thread: usize,
        /// How many there are.
        threads: usize,
    },
    /// The factory panicked, or a hook of the start failed.
    StartFailed {
        /// The subsystem.
        subsystem: Box<str>,
        /// The panic's message, or the error's.
        message: Box<str>,
    },
    /// No subsystem of that name is mounted to be the parent.
    NoParent {
        /// The parent's name.
        name: Box<str>,
        /// The own name of the subsystem.
        subsystem: Box<str>,
    },
    /// Replicas are to be chosen by a capture that no route has.
    NoCapture {
        /// The subsystem.
        subsystem: Box<str>,
        /// The capture's name.
        name: Box<str>,
    },
    /// Several are to be mounted at once below different parents.
    SeveralParents,
    /// The parent failed and is restarting, or has been meanwhile: the children of its old value end
    /// with that. Mounting again is safe, and succeeds once the parent is there.
    Restarting {
        /// The parent's name.
        parent: Box<str>,
    },
    /// A handler that is not `async` can't wait for a mount: what it mounts may start on its own thread.
    WouldBlock {
        /// The subsystem that it mounts.
        subsystem: Box<str>,
    },
    /// A handler mounts it, and waiting for that would never end: what must start, or must end before it
    /// can, waits for that handler. Nothing was mounted, or, if what must start waits for the thread that a
    /// blocking handler holds, the mount goes on without it. Mount it in a spawned task, which nothing waits
    /// for.
    WaitCycle {
        /// The subsystem that it mounts.
        subsystem: Box<str>,
        /// Who waits for whom, as `a -> b -> a`.
        cycle: Box<str>,
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
            MountError::BadName { name } => fmt_bad_name(name, f),
            MountError::BadSetting {
                subsystem,
                setting,
                must_be,
            } => write!(f, "`{subsystem}`: `{setting}` must be {must_be}"),
            MountError::BadPattern {
                subsystem,
                pattern,
                error,
            } => write!(f, "`{subsystem}`: pattern `{pattern}`: {error}"),
            MountError::Ambiguous { subsystem, error } => write!(f, "`{subsystem}`: {error}"),
            MountError::DuplicateRoute {
                subsystem,
                pattern,
                message,
            } => write!(
                f,
                "`{subsystem}`: two handlers take `{message}` on `{pattern}`"
            ),
            MountError::NoState { subsystem, state } => write!(
                f,
                "`{subsystem}`: a handler takes `State<{state}>`; give it with `System::builder().state(…)`"
            ),
            MountError::NoThread {
                subsystem,
                thread,
                threads,
            } => write!(
                f,
                "`{subsystem}`: there is no thread {thread}; the system has {threads}"
            ),
            MountError::StartFailed { subsystem, message } => {
                write!(f, "`{subsystem}` could not be started: {message}")
            }
            MountError::NoParent { name, subsystem } => write!(
                f,
                "`{subsystem}`: no subsystem `{name}` is mounted to be the parent; mount it first (replicas have children one by one)"
            ),
            MountError::NoCapture { subsystem, name } => write!(
                f,
                "`{subsystem}`: replicas are to be chosen by `{{{name}}}`, and no route has that capture"
            ),
            MountError::SeveralParents => write!(
                f,
                "subsystems mounted at once must have the same parent, or none"
            ),
            MountError::Restarting { parent } => write!(
                f,
                "the parent `{parent}` is restarting, and children of its old value end with that; mount again when it is there"
            ),
            MountError::WouldBlock { subsystem } => write!(
                f,
                "a handler that is not `async` can't wait for the mount of `{subsystem}`; make it `async` and await the mount, or mark its route `blocking`"
            ),
            MountError::WaitCycle { subsystem, cycle } => write!(
                f,
                "the mount of `{subsystem}` would never end: {cycle}; break the cycle, or mount in a spawned task"
            ),
            MountError::Stopped => {
                write!(f, "the system, or the parent, has stopped or is stopping")
            }
        }
    }
}

impl std::error::Error for MountError {}

fn fmt_bad_name(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "`{name}` can't be the name of a subsystem; ")?;
    match check_name(name) {
        Err(PathError::LongName { at }) => {
            let part = name[at..].split('/').next().unwrap_or_default();
            let len = part.len();
            write!(
                f,
                "`{part}` has {len} bytes, at most {MAX_NAME_LEN} are allowed"
            )
        }
        Err(PathError::LongFullName { len }) => write!(
            f,
            "with its parents' names it has {len} bytes, at most {MAX_FULL_NAME_LEN} are allowed"
        ),
        // The names of its parents come before it by themselves.
        Ok(()) => write!(
            f,
            "leave out the `/`, and mount it below its parent with `MountOptions::parent`"
        ),
        Err(_) => write!(
            f,
            "use 1 to {MAX_NAME_LEN} of the characters A-Z a-z 0-9 _ . -"
        ),
    }
}

impl MountError {
    /// Says of which subsystem it tells, where that was not known.
    #[must_use]
    pub(crate) fn of(mut self, name: &str) -> Self {
        match &mut self {
            MountError::BadPattern { subsystem, .. }
            | MountError::Ambiguous { subsystem, .. }
            | MountError::DuplicateRoute { subsystem, .. }
            | MountError::NoState { subsystem, .. }
            | MountError::NoCapture { subsystem, .. }
                if subsystem.is_empty() =>
            {
                *subsystem = name.into();
            }
            _ => {}
        }
        self
    }
}

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
            StartError::Thread(_) => write!(f, "a thread could not be started"),
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
    /// A handler that is not `async` can't wait for an unmount: what it unmounts may live on its own thread.
    WouldBlock,
    /// A handler unmounts it, and waiting for its end would never end: it, or a subsystem below it, waits
    /// for that handler or is that handler's own. Nothing was unmounted, or, if what must end waits for the
    /// thread that a blocking handler holds, the unmount goes on without it. Unmount it in a spawned task,
    /// which nothing waits for.
    WaitCycle {
        /// Who waits for whom, as `a -> b -> a`.
        cycle: Box<str>,
    },
    /// Handlers block their thread, so that they could not be ended at the deadline. The unmount goes on:
    /// the name is free once they have returned.
    Stuck {
        /// The subsystems whose handlers do not return.
        subsystems: Vec<Box<str>>,
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
            UnmountError::WouldBlock => write!(
                f,
                "a handler that is not `async` can't wait for an unmount; make it `async` and await the unmount, or mark its route `blocking`"
            ),
            UnmountError::WaitCycle { cycle } => write!(
                f,
                "the unmount would never end: {cycle}; break the cycle, or unmount in a spawned task"
            ),
            UnmountError::Stuck { subsystems } => write!(
                f,
                "handlers of {} block their thread; the unmount goes on until they return",
                subsystems.join(", ")
            ),
            UnmountError::Stopped => write!(f, "the system has stopped or is stopping"),
        }
    }
}

impl std::error::Error for UnmountError {}
