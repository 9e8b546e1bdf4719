//! The features, each with what its operations weigh.

use clap::ValueEnum;

macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident, $name:literal, $weight:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(crate) enum Feature {
            $($(#[$doc])* $feature,)*
        }

        impl Feature {
            pub(crate) const ALL: &[Feature] = &[$(Feature::$feature),*];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Feature::$feature => $name,)*
                }
            }

            /// One in so many of the operations are done: the others take that much longer.
            pub(crate) fn weight(self) -> u64 {
                match self {
                    $(Feature::$feature => $weight,)*
                }
            }
        }
    };
}

features! {
    /// By path and by handle, of every priority
    Tells, "tells", 1;
    /// With and without a deadline
    Asks, "asks", 1;
    /// Asks whose deadline passes before their handler begins
    Expired, "expired", 10;
    /// Asks that are dropped before their reply
    GivenUp, "given-up", 10;
    /// Paths that are sent to once
    Paths, "paths", 10;
    /// Timers that go off
    Timers, "timers", 10;
    /// Timers that are cancelled
    Cancelled, "cancelled", 10;
    /// Items of streams, a hundred each
    Streams, "streams", 10;
    /// Messages that are kept for later
    Later, "later", 10;
    /// Replies that come later: given, failed, dropped, kept beyond a restart
    Replies, "replies", 10;
    /// Futures beside the mailbox: ended, cancelled, waiting for their turn
    Spawned, "spawned", 10;
    /// Handlers on blocking threads
    Blocking, "blocking", 20;
    /// A full mailbox under every policy
    Overflow, "overflow", 10;
    /// Panics, and restarts
    Restarts, "restarts", 20;
    /// Children that stop, fail for good, or are unmounted
    Children, "children", 50;
    /// Names that come and go, with handles
    Mounts, "mounts", 50;
    /// Names for several
    Replicas, "replicas", 100;
    /// Watches of events and dead letters
    Watches, "watches", 10;
    /// Threads that send and end
    Threads, "threads", 100;
    /// Systems that are started, and dropped while they work
    Systems, "systems", 2000;
}
