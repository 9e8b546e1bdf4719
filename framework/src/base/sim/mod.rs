//! Decisions that a simulation makes in place of chance and of the operating system.
//!
//! The code asks here wherever threads can interleave, and wherever the framework is free to choose what it does
//! first. A simulation (`mycelia_test::Simulation`) answers from its seed; outside of one every answer is "no".
//! Without the feature `test`, `chooser_off.rs` replaces `chooser.rs`, and no question is left in the machine
//! code.

#[cfg_attr(not(feature = "test"), path = "chooser_off.rs")]
pub(crate) mod chooser;

pub(crate) use chooser::*;

/// A place in the code where the chooser is asked.
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a simulation asks at some of them"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A host's task is polled later.
    Late,
    /// A round of turns ends.
    Round,
    /// The host that was noted last gets the first turn.
    Order,
    /// A host on the sender's thread is woken like a host on another thread.
    Stranger,
    /// A turn is cut short.
    Slice,
    /// A host rests at once, or looks into its mailbox again.
    Rest,
    /// A message is about to be put into a mailbox.
    Push,
    /// The message is in the mailbox, and the host is not woken yet.
    Ring,
    /// A host is about to go to sleep.
    Sleep,
    /// A turn's endings are counted, and no waiter is woken yet.
    Entered,
    /// Envelopes are free again, and no waiter is woken yet.
    Freed,
    /// A waiter is in the queue, and has not looked for room again yet.
    Queued,
    /// A reply is written, and not handed over yet.
    Reply,
    /// An asker is about to look for its reply.
    Asker,
    /// A message is about to be dropped to make room for another.
    Evict,
    /// A mailbox is closed, and the messages in it have not ended yet.
    Closed,
    /// A keeper is between two checks.
    Keeper,
    /// A planted error may happen.
    Plant,
    /// The simulation chooses the thread that runs next.
    Thread,
    /// The simulation chooses how much time passes.
    Time,
}

/// Errors that a simulation can plant, to prove that it would find them.
#[allow(dead_code, unreachable_pub, reason = "the test kit shows it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// Now and then a host that sleeps is not woken.
    LostWakeUp,
    /// Now and then an envelope is returned twice.
    DoubleRelease,
    /// Now and then two messages change places.
    Reorder,
}

/// The key of a thread's data: a thread of the operating system, and within it the simulated thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ThreadKey {
    thread: std::thread::ThreadId,
    simulated: chooser::ThreadNumber,
}

impl ThreadKey {
    /// The key of the calling thread.
    pub(crate) fn current() -> Self {
        ThreadKey {
            thread: std::thread::current().id(),
            simulated: chooser::thread(),
        }
    }
}
