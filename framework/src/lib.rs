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
//! # Layout
//!
//! The modules stand in the order in which they depend on each other, which is also the way of a
//! message backwards: what carries it, where it waits, who handles it, how it is sent.

// Underneath: atomics, ownership, time, and guards around user code.
mod sync;
mod user_code;
mod fate;
mod token;
mod clock;
mod deferred;
mod waker_slot;
mod news;

// The words.
mod ledger;
mod error;
mod message;
mod trace;
mod priority;
mod overflow;
mod slice;
mod supervision;
mod events;
mod extract;

// The path of a message, from its carrier outwards: what carries it, where it waits, who handles it,
// how it is found, how it is sent.
mod envelope;
mod latency;
mod pool;
mod local;
mod mailbox;
mod handler;
mod route;
mod subsystem;
mod task_list;
mod directory;
mod replicas;
mod memory;
mod waits;
mod dead_letters;
mod blocking;
#[cfg(feature = "test")]
mod taps;
mod place;
mod shared;
mod host;
mod send;
mod address;
mod handle;

// The keepers.
mod supervisor;
mod registry;
mod system;

mod context;
mod tasks;
mod entry;
mod interop;

#[cfg(feature = "test")]
pub mod test;

pub use address::{AsPath, Encoded, encode};
pub use clock::{Clock, ClockHand, Stamp};
pub use context::Context;
pub use dead_letters::{DeadLetter, DeadLetterStream, DeadReason};
pub use envelope::{INLINE_ALIGN, INLINE_BYTES};
pub use error::{
    AskError, CaptureError, HookFailure, MountError, Room, SendError, StartError, Undelivered,
    UnmountError,
};
pub use events::{Change, EndReason, Event, Watch};
pub use extract::{
    Address, AsCapture, Capture, Captures, Deadline, Delivery, Extract, Extractor, Path, Query,
    Sender, State, States,
};
pub use handle::{At, Route};
pub use interop::ActorRoutes;
pub use latency::{Latency, OWN_BOOKS, RouteLatency};
pub use ledger::Ledger;
pub use local::stamps::Stamps;
pub use message::{IntoReply, MESSAGE_BYTES_MAX, Message, OrLater, later};
pub use mycelia_core::{Ambiguous, PathError, PatternError};
pub use mycelia_macros::{
    Message, Subsystem, main, restarting, route, routes, started, stopped, test,
};
pub use overflow::Overflow;
pub use pool::PoolStats;
pub use priority::Priority;
pub use replicas::Replicas;
pub use route::RouteTable;
pub use shared::StopReason;
pub use slice::Slice;
pub use subsystem::{Routes, Subsystem};
pub use supervision::{Backoff, Failure, Intensity, Restart, Together};
pub use supervisor::adaptive::Adaptive;
pub use supervisor::snapshot::{RouteSnapshot, Snapshot, SubsystemSnapshot};
pub use supervisor::strategy::{Load, LoadBased, RoundRobin, Strategy, Weighted};
pub use system::{
    Builder, Exit, MountOptions, Mounting, StopError, StopReport, System, WeakSystem,
};
pub use tasks::{Missed, Task};
pub use trace::TraceId;

/// What a program with subsystems needs.
pub mod prelude {
    pub use crate::{
        AskError, Context, Deadline, Message, MountOptions, Path, Query, Route, RouteTable, Routes,
        SendError, Sender, State, Subsystem, System, Undelivered, route, routes,
    };
}

/// For the code that the macros write; not to be used by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::entry::{
        AllRoutesInOneBlock, Answer, Answered, Argument, HookReply, HookResult, Payload, Told,
        block_on, captures,
    };
}
