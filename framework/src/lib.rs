//! Actors on actix that talk only by messages sent to paths.
//!
//! A program is built out of *subsystems*. Each has a name, its own state, and routes; each is an actix
//! actor on one thread of a [`System`]. They talk by typed messages sent to paths, `api://users/42`.
//! Every message travels in a recycled envelope, is handled once, is accounted for in a ledger, and has
//! its latency recorded. What is promised, and how it is proved, stands in the guide.
//!
//! ```
//! use mycelia::prelude::*;
//!
//! #[derive(Message)]
//! #[message(reply = u64)]
//! struct Add(u64);
//!
//! #[derive(Subsystem, Default)]
//! struct Counter {
//!     sum: u64,
//! }
//!
//! #[routes]
//! impl Counter {
//!     #[route("sum")]
//!     fn add(&mut self, Add(n): Add) -> u64 {
//!         self.sum += n;
//!         self.sum
//!     }
//! }
//!
//! #[mycelia::main]
//! async fn main() -> anyhow::Result<()> {
//!     let system = System::builder().start().await?;
//!     system.mount(Counter::default).await?;
//!     system.tell("counter://sum", Add(3)).await?;
//!     assert_eq!(system.ask("counter://sum", Add(4)).await?, 7);
//!     system.stop().await?;
//!     Ok(())
//! }
//! ```
//!
//! A message that is not accepted comes home with the reason, and a reply that does not come is a value too:
//!
//! ```
//! # use mycelia::prelude::*;
//! # #[derive(Message)]
//! # #[message(reply = u64)]
//! # struct Add(u64);
//! # #[mycelia::main]
//! # async fn main() -> anyhow::Result<()> {
//! # let system = System::builder().start().await?;
//! let refused = system.ask("nobody://sum", Add(3)).await.unwrap_err();
//! assert!(refused.to_string().contains("no subsystem `nobody` is mounted"));
//! # system.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A panic fails its message. The subsystem is restarted by its policy, and what waits in its mailbox stays:
//!
//! ```
//! use mycelia::prelude::*;
//! use mycelia::supervise::Restart;
//!
//! #[derive(Subsystem, Default)]
//! struct Parser;
//! # #[derive(Message)]
//! # struct Line;
//! # #[routes]
//! # impl Parser {
//! #     #[route("line")]
//! #     fn line(&mut self, _: Line) {}
//! # }
//!
//! # #[mycelia::main]
//! # async fn main() -> anyhow::Result<()> {
//! # let system = System::builder().start().await?;
//! let options = MountOptions::new().restart(Restart::Permanent);
//! system.mount_with(options, Parser::default).await?;
//! # system.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! | module | what it has |
//! |---|---|
//! | [`prelude`] | what most programs need |
//! | the root | systems, subsystems, messages, handles, the macros |
//! | [`extract`] | what a handler can take beside its message |
//! | [`error`] | an error for each verb that can fail |
//! | [`supervise`] | what happens after a failure |
//! | [`schedule`] | priorities, full mailboxes, shares of a thread's time, timers |
//! | [`observe`] | snapshots, ledgers, latencies, events, dead letters |
//! | [`time`] | the clock of a system |
//! | [`limits`] | sizes |
//!
//! The test kit is a crate of its own, `mycelia-test`; so are rate limits and other layers of a handle,
//! `mycelia-layers`.
//!
//! Beside axum, whose `Path`, `Query` and `State` have the same names, import [`extract`] as a module:
//! `use mycelia::extract;`, then `extract::Path(id): extract::Path<u64>`.
//!
//! # The source
//!
//! The modules stand in the order of dependence: a file uses only what is declared above it. A `tell` walks from
//! `send` through `route`, `envelope` and `mailbox` to `host`; what was noted of it is in `books`.

mod base;
mod words;
mod envelope;
mod books;
mod thread;
mod mailbox;
mod route;
mod directory;
mod runtime;
mod host;
mod send;
mod topics;
mod keepers;
mod system;
#[cfg(feature = "test")]
#[doc(hidden)]
pub mod __test;

pub use directory::replicas::Replicas;
pub use mycelia_macros::{
    Message, Subsystem, main, restarting, route, routes, started, stopped, subscribe, test,
};
pub use route::subsystem::{Routes, Subsystem};
pub use route::{RouteOptions, RouteTable, Subscribing};
pub use send::group::RouteGroup;
pub use send::handle::{At, Route};
pub use send::path::{AsPath, Encoded, encode};
pub use system::context::Context;
pub use system::interop::ActorRoutes;
pub use system::{Builder, Exit, MountOptions, Mounting, OnDemand, StopReport, System, WeakSystem};
pub use topics::TopicStream;
pub use words::key::Key;
pub use words::message::{IntoReply, Message, OrLater, later};

/// What a program with subsystems needs.
pub mod prelude {
    pub use crate::error::{AskError, SendError, Undelivered};
    pub use crate::extract::{Deadline, Path, Query, Reply, Sender, State};
    pub use crate::{
        Context, Message, MountOptions, Route, RouteTable, Routes, Subsystem, System, route,
        routes, subscribe,
    };
}

/// What a handler can take beside its message, and how to make more of that.
pub mod extract {
    pub use crate::route::extract::{
        Address, AsCapture, Capture, Captures, Deadline, Delivery, Extract, Extractor, Path, Query,
        Reply, Sender, State, States,
    };
}

/// An error for each verb that can fail. An undelivered message is in its error.
pub mod error {
    pub use crate::system::StopError;
    pub use crate::topics::SubscribeError;
    pub use crate::words::error::{
        AskError, CaptureError, HookFailure, ManageError, MountError, Room, SendError, StartError,
        Undelivered, UnmountError,
    };
    pub use mycelia_core::{Ambiguous, PathError, PatternError};
}

/// What happens after a failure.
pub mod supervise {
    pub use crate::words::stuck::WhenStuck;
    pub use crate::words::supervision::{Backoff, Failure, Intensity, Restart, RestartScope};
}

/// Which message goes first, what a full mailbox does, how threads share their time out, timers.
pub mod schedule {
    pub use crate::keepers::supervisor::adaptive::Adaptive;
    pub use crate::keepers::supervisor::strategy::{
        Load, LoadBased, RoundRobin, Strategy, Weighted,
    };
    pub use crate::system::tasks::{MissedTick, Task};
    pub use crate::words::admission::Admission;
    pub use crate::words::overflow::Overflow;
    pub use crate::words::priority::Priority;
    pub use crate::words::slice::Slice;
}

/// What a system says of itself: snapshots, ledgers, latencies, events, dead letters.
pub mod observe {
    pub use crate::books::dead_letters::{DeadLetter, DeadLetterStream, DeadReason};
    pub use crate::books::latency::{
        Bucket, Buckets, Latency, LatencySummary, RouteBuckets, RouteLatency,
    };
    pub use crate::books::topics::{Published, TopicLedger, TopicSnapshot, TopicsSnapshot};
    pub use crate::envelope::pool::PoolStats;
    pub use crate::keepers::supervisor::snapshot::{
        KindRouteSnapshot, KindSnapshot, RouteSnapshot, Snapshot, SubsystemSnapshot,
    };
    pub use crate::thread::stamps::Stamps;
    pub use crate::words::events::{Change, EndReason, Event, Watch};
    pub use crate::words::ledger::Ledger;
    pub use crate::words::stop_reason::StopReason;
    pub use crate::words::stuck::{Stuck, StuckIn};
    pub use crate::words::trace::TraceId;
}

/// The clock of a system, and its manual stand-in for tests.
pub mod time {
    pub use crate::base::clock::{Clock, ClockHand, Stamp};
}

/// How large a message may be, and how large it is without a heap allocation.
pub mod limits {
    pub use crate::envelope::{INLINE_ALIGN, INLINE_BYTES};
    pub use crate::words::message::MESSAGE_BYTES_MAX;
}

// The names that stood at the root before there were rooms, for the programs that use them still. They go with 0.2.
#[doc(hidden)]
pub use crate::{error::*, extract::*, limits::*, observe::*, schedule::*, supervise::*, time::*};
#[doc(hidden)]
pub use crate::{schedule::MissedTick as Missed, supervise::RestartScope as Together};

/// For the code that the macros write; not to be used by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::route::macro_support::{
        Answer, Answered, Argument, HookReply, HookResult, Payload, Told, TopicPayload, block_on,
        captures,
    };
    pub use crate::route::subsystem::AllRoutesInOneBlock;
}
