//! Supervision: what happens to a subsystem that failed. Policy is plain data, the decision a pure function.
//!
//! Every subsystem has a parent: the subsystem that mounted it, or the system. After a failure the factory makes a new
//! value, perhaps after a pause, perhaps for its siblings too. If restarts are needed too often, the parent fails in
//! its place, and at last the system stops. The words are those of Erlang's supervisors.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod backoff;
mod decide;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use backoff::Backoff;
pub(crate) use decide::{History, Policy, RestartDecision};

/// Whether a subsystem that has ended is started again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restart {
    /// Always, also when it stopped itself.
    Permanent,
    /// When it failed.
    #[default]
    Transient,
    /// Never.
    Never,
}

/// Who else is restarted when one of a parent's children is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestartScope {
    /// No one.
    #[default]
    OneForOne,
    /// All its siblings.
    AllForOne,
    /// Those of its siblings that were started after it.
    RestForOne,
}

/// How many restarts are allowed within what time. With one more the parent fails in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// How many.
    pub restarts: u32,
    /// Within any interval of this length.
    pub within: Duration,
}

/// Why a subsystem failed or ended.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// A handler panicked, with this text.
    #[error("a handler panicked: {0}")]
    Panic(Arc<str>),
    /// A handler returned an error, with this text, and the subsystem is mounted with
    /// [`restart_on_error`](crate::MountOptions::restart_on_error).
    #[error("a handler failed: {0}")]
    Error(Arc<str>),
    /// One of its timers or streams panicked, with this text.
    #[error("a timer or a stream panicked: {0}")]
    Task(Arc<str>),
    /// Its factory panicked, or a hook of its start failed, with this text.
    #[error("it could not be started: {0}")]
    Start(Arc<str>),
    /// A child failed too often.
    #[error("its child `{name}` failed too often, last: {failure}")]
    Child {
        /// The child.
        name: Arc<str>,
        /// How it failed last.
        failure: Arc<Failure>,
    },
    /// It stopped itself, and is mounted to be there always.
    #[error("it stopped itself")]
    Stopped,
    /// Its handler had not returned for this long, and it is mounted with
    /// [`WhenStuck::Restart`](crate::supervise::WhenStuck::Restart) or
    /// [`GiveUp`](crate::supervise::WhenStuck::GiveUp).
    #[error("a handler had not returned for {0:?}")]
    Stuck(Duration),
    /// It did not fail: someone [restarted](crate::System::restart) it.
    #[error("its restart was asked for")]
    Requested,
    /// Its value panicked when it was dropped, with this text. It ends, or is restarted, as it would have been.
    #[error("it panicked when it was dropped: {0}")]
    Drop(Arc<str>),
    /// Its last hook, [`#[stopped]`](crate::routes), failed or panicked with this text, or did not come to its
    /// end. It ends, or is restarted, as it would have been.
    #[error("it failed when it was stopped: {0}")]
    LastHook(Arc<str>),
}
