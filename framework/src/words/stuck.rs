//! Handlers that do not return: how that is told, and what is done about it.

use std::time::Duration;

/// A subsystem whose handler has not returned for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// How long. It counts from when the supervisor first saw the handler, so it may be up to 0.7 s short.
    pub age: Duration,
    /// What the handler holds meanwhile.
    pub place: StuckIn,
}

/// What a handler holds that does not return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StuckIn {
    /// Nothing: it awaits something. It can be cut off.
    Await,
    /// One of the [threads for blocking handlers](crate::Builder::blocking_threads). It can't be ended, but it
    /// can be given up.
    BlockingThread,
    /// The thread that its subsystem lives on. It can't be ended, and all other subsystems of that thread wait.
    Thread,
}

/// What is done about a subsystem that is stuck, beside that it is told.
///
/// What is possible depends on where its handler is. One that awaits is dropped. One that blocks a thread can't be
/// ended by anyone: Rust has no way to stop a thread. If that thread is one for blocking handlers, the subsystem
/// can go on without it. If it is the subsystem's own, nothing can be done before it returns: the values that live
/// there, its own and its neighbours', may be tied to that thread and can't be moved to another.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenStuck {
    /// Nothing.
    #[default]
    Tell,
    /// It fails, and is restarted as its policy says. A handler that awaits is dropped, and its message fails. The
    /// message of a blocking handler fails at once, and the restart comes when the handler has returned. A
    /// handler that holds its subsystem's thread returns first.
    Restart,
    /// As [`Restart`](Self::Restart), but a blocking handler is given up: the subsystem is restarted at once, while
    /// the call goes on with the old value, which is dropped when it returns. Until then there are two values,
    /// and one thread fewer for blocking handlers.
    GiveUp,
}
