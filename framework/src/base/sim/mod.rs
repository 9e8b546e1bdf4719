//! What a simulation decides in the place of chance and of the operating system.
//!
//! Where threads could get between each other, or where it must not matter what the framework does
//! first, the code asks here. A simulation (`mycelia_test::Simulation`) answers from its seed; without
//! one every answer is "no", and without the feature `test` there is no question in the machine code at
//! all: `chooser_off.rs` stands in for `chooser.rs` then.

#[cfg_attr(not(feature = "test"), path = "chooser_off.rs")]
pub(crate) mod chooser;

pub(crate) use chooser::*;

/// Where the chooser is asked.
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a simulation asks at some of them"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A host's task comes later.
    Late,
    /// A round of turns ends.
    Round,
    /// The host that was noted last has its turn first.
    Order,
    /// A host on the sender's own thread is woken like one elsewhere.
    Stranger,
    /// A turn is cut short.
    Slice,
    /// A host goes to rest at once, or looks again.
    Rest,
    /// A message is about to be put into a mailbox.
    Push,
    /// It is there, and the bell is not rung yet.
    Ring,
    /// A host is about to go to sleep.
    Sleep,
    /// A turn's endings are entered, and no one is woken yet.
    Entered,
    /// Envelopes are free again, and no one is woken yet.
    Freed,
    /// A waiter is in the queue, and has not looked again yet.
    Queued,
    /// A reply is there, and not handed over yet.
    Reply,
    /// An asker is about to look for its reply.
    Asker,
    /// A message has to make room for another.
    Evict,
    /// A mailbox is closed, and what was inside has not ended yet.
    Closed,
    /// A keeper is between two looks.
    Keeper,
    /// One of the planted errors happens.
    Plant,
    /// A simulation chooses the thread that goes on.
    Thread,
    /// It chooses how much time passes.
    Time,
}

/// Errors that a simulation can put in, to show that it would find them.
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

/// A thread, as what belongs to it is kept: of the operating system's, which a simulation divides into
/// several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ThreadKey {
    thread: std::thread::ThreadId,
    simulated: chooser::ThreadNumber,
}

impl ThreadKey {
    /// That of the calling thread.
    pub(crate) fn current() -> Self {
        ThreadKey {
            thread: std::thread::current().id(),
            simulated: chooser::thread(),
        }
    }
}
