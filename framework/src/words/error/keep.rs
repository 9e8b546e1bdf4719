//! Why the keepers did not start, mount or unmount.

use std::fmt;
use std::sync::Arc;

use mycelia_core::{
    Ambiguous, MAX_FULL_NAME_LEN, MAX_NAME_LEN, PathError, PatternError, check_name,
};
use thiserror::Error;

use crate::words::ledger::Ledger;

/// Why a subsystem was not mounted.
///
/// It names the subsystem, with its parents' names before its own. If several were mounted at once, it names the first
/// that is at fault, or what they share.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountError {
    /// The name is taken.
    #[error(
        "a subsystem `{name}` is mounted already; unmount it, or use `mount_as` with another name"
    )]
    NameTaken {
        /// The name.
        name: Box<str>,
    },
    /// The name can't be the scheme of a path: it has a character that no name may have, or it is too
    /// long. The text says which.
    #[error(fmt = fmt_bad_name)]
    BadName {
        /// The name.
        name: Box<str>,
    },
    /// An option has a value that it can't have.
    #[error("`{subsystem}`: `{setting}` must be {must_be}")]
    BadSetting {
        /// The subsystem.
        subsystem: Box<str>,
        /// The option.
        setting: &'static str,
        /// What it must be.
        must_be: &'static str,
    },
    /// A pattern has a mistake.
    #[error("`{subsystem}`: pattern `{pattern}`: {error}")]
    BadPattern {
        /// The subsystem.
        subsystem: Box<str>,
        /// The pattern.
        pattern: Box<str>,
        /// What is wrong with it.
        error: PatternError,
    },
    /// Two patterns match the same paths.
    #[error("`{subsystem}`: {error}")]
    Ambiguous {
        /// The subsystem.
        subsystem: Box<str>,
        /// Which two.
        error: Ambiguous,
    },
    /// Two handlers take the same message on the same pattern.
    #[error("`{subsystem}`: two handlers take `{message}` on `{pattern}`")]
    DuplicateRoute {
        /// The subsystem.
        subsystem: Box<str>,
        /// The pattern.
        pattern: Box<str>,
        /// The message's type.
        message: &'static str,
    },
    /// A handler wants shared state that the system was not built with.
    #[error(
        "`{subsystem}`: a handler takes `State<{state}>`; give it with `System::builder().state(…)`"
    )]
    NoState {
        /// The subsystem.
        subsystem: Box<str>,
        /// The type of the state.
        state: &'static str,
    },
    /// The system has no such thread.
    #[error("`{subsystem}`: there is no thread {thread}; the system has {threads}")]
    NoThread {
        /// The subsystem.
        subsystem: Box<str>,
        /// The thread that was asked for.
        thread: usize,
        /// How many there are.
        threads: usize,
    },
    /// The factory panicked, or a hook of the start failed.
    #[error("`{subsystem}` could not be started: {message}")]
    StartFailed {
        /// The subsystem.
        subsystem: Box<str>,
        /// The panic's message, or the error's.
        message: Box<str>,
    },
    /// No subsystem of that name is mounted to be the parent.
    #[error(
        "`{subsystem}`: no subsystem `{name}` is mounted to be the parent; mount it first (replicas have children one by one)"
    )]
    NoParent {
        /// The parent's name.
        name: Box<str>,
        /// The own name of the subsystem.
        subsystem: Box<str>,
    },
    /// The options choose replicas by a capture that no route has.
    #[error(
        "`{subsystem}`: replicas are to be chosen by `{{{name}}}`, and no route has that capture"
    )]
    NoCapture {
        /// The subsystem.
        subsystem: Box<str>,
        /// The capture's name.
        name: Box<str>,
    },
    /// The options name a route that the subsystem does not have.
    #[error("`{subsystem}` has no route `{pattern}` to which the options could apply")]
    NoRoute {
        /// The subsystem.
        subsystem: Box<str>,
        /// The pattern in the options.
        pattern: Box<str>,
    },
    /// No replicas share the name: there is nothing to be resized.
    #[error("no replicas share the name `{name}`; mount them with `mount_replicas`")]
    NoReplicas {
        /// The name.
        name: Box<str>,
    },
    /// The replicas are being resized, or have messages from before they were. Trying again later is safe.
    #[error("the replicas `{name}` are being resized; try again later")]
    Resizing {
        /// The name that they share.
        name: Box<str>,
    },
    /// Several subsystems can't be mounted at once below different parents.
    #[error("subsystems mounted at once must have the same parent, or none")]
    SeveralParents,
    /// The parent failed and is restarting, or has been meanwhile: the children of its old value end
    /// with that. Mounting again is safe, and succeeds once the parent is there.
    #[error(
        "the parent `{parent}` is restarting, and children of its old value end with that; mount again when it is there"
    )]
    Restarting {
        /// The parent's name.
        parent: Box<str>,
    },
    /// A handler that is not `async` can't wait for a mount: what it mounts may start on its own thread.
    #[error(
        "a handler that is not `async` can't wait for the mount of `{subsystem}`; make it `async` and await the mount, or mark its route `blocking`"
    )]
    WouldBlock {
        /// The subsystem that it mounts.
        subsystem: Box<str>,
    },
    /// A handler mounts it, and waiting for that would never end: what must start, or must end before it
    /// can, waits for that handler. Nothing was mounted, or, if what must start waits for the thread that a
    /// blocking handler holds, the mount goes on without it. Mount it in a spawned task, which nothing waits
    /// for.
    #[error(
        "the mount of `{subsystem}` would never end: {cycle}; break the cycle, or mount in a spawned task"
    )]
    WaitCycle {
        /// The subsystem that it mounts.
        subsystem: Box<str>,
        /// Who waits for whom, as `a -> b -> a`.
        cycle: Box<str>,
    },
    /// The system, or the parent, has stopped or is stopping: there is nothing to mount below any more.
    #[error("the system, or the parent, has stopped or is stopping")]
    Stopped,
}

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
    /// Fills in the subsystem's name, where it was not known.
    #[must_use]
    pub(crate) fn of(mut self, name: &str) -> Self {
        match &mut self {
            MountError::BadPattern { subsystem, .. }
            | MountError::Ambiguous { subsystem, .. }
            | MountError::DuplicateRoute { subsystem, .. }
            | MountError::NoState { subsystem, .. }
            | MountError::NoCapture { subsystem, .. }
            | MountError::NoRoute { subsystem, .. }
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
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    #[error("`{setting}` must be {must_be}")]
    BadSetting {
        /// The setting.
        setting: &'static str,
        /// What it must be.
        must_be: &'static str,
    },
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// A last hook, [`#[stopped]`](crate::routes), that failed: what it should have saved may be lost.
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

/// Why a subsystem was not unmounted, or what failed while it was.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnmountError {
    /// No subsystem of that name is mounted.
    #[error("no subsystem `{name}` is mounted")]
    NoSubsystem {
        /// The name.
        name: Box<str>,
    },
    /// It was unmounted, with its children; but last hooks of theirs failed.
    #[error("it was unmounted, but its last hook failed: {}", listed(.failed))]
    HooksFailed {
        /// Whose, and how: the children before their parents, the youngest first.
        failed: Vec<HookFailure>,
        /// The final account, as an unmount without failure returns it.
        ledger: Ledger,
    },
    /// A handler that is not `async` can't wait for an unmount: what it unmounts may live on its own thread.
    #[error(
        "a handler that is not `async` can't wait for an unmount; make it `async` and await the unmount, or mark its route `blocking`"
    )]
    WouldBlock,
    /// A handler unmounts it, and waiting for its end would never end: it, or a subsystem below it, waits
    /// for that handler or is that handler's own. Nothing was unmounted, or, if what must end waits for the
    /// thread that a blocking handler holds, the unmount goes on without it. Unmount it in a spawned task,
    /// which nothing waits for.
    #[error("the unmount would never end: {cycle}; break the cycle, or unmount in a spawned task")]
    WaitCycle {
        /// Who waits for whom, as `a -> b -> a`.
        cycle: Box<str>,
    },
    /// Handlers block their thread, so that they could not be ended at the deadline. The unmount goes on:
    /// the name is free once they have returned.
    #[error("handlers of {} block their thread; the unmount goes on until they return", .subsystems.join(", "))]
    Stuck {
        /// The subsystems whose handlers do not return.
        subsystems: Vec<Box<str>>,
    },
    /// The system has stopped, or is stopping.
    #[error("the system has stopped or is stopping")]
    Stopped,
}

fn listed(failed: &[HookFailure]) -> String {
    let failed: Vec<_> = failed.iter().map(HookFailure::to_string).collect();
    failed.join(", ")
}
