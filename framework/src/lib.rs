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
mod keepers;
mod system;
#[cfg(feature = "test")]
pub mod test;

pub use base::clock::{Clock, ClockHand, Stamp};
pub use books::dead_letters::{DeadLetter, DeadLetterStream, DeadReason};
pub use books::latency::{Latency, OWN_BOOKS, RouteLatency};
pub use directory::replicas::Replicas;
pub use envelope::pool::PoolStats;
pub use envelope::{INLINE_ALIGN, INLINE_BYTES};
pub use keepers::supervisor::adaptive::Adaptive;
pub use keepers::supervisor::snapshot::{RouteSnapshot, Snapshot, SubsystemSnapshot};
pub use keepers::supervisor::strategy::{Load, LoadBased, RoundRobin, Strategy, Weighted};
pub use mycelia_core::{Ambiguous, PathError, PatternError};
pub use mycelia_macros::{
    Message, Subsystem, main, restarting, route, routes, started, stopped, test,
};
pub use route::RouteTable;
pub use route::extract::{
    Address, AsCapture, Capture, Captures, Deadline, Delivery, Extract, Extractor, Path, Query,
    Sender, State, States,
};
pub use route::subsystem::{Routes, Subsystem};
pub use send::handle::{At, Route};
pub use send::path::{AsPath, Encoded, encode};
pub use system::context::Context;
pub use system::interop::ActorRoutes;
pub use system::tasks::{MissedTick, Task};
pub use system::{
    Builder, Exit, MountOptions, Mounting, StopError, StopReport, System, WeakSystem,
};
pub use thread::stamps::Stamps;
pub use words::error::{
    AskError, CaptureError, HookFailure, MountError, Room, SendError, StartError, Undelivered,
    UnmountError,
};
pub use words::events::{Change, EndReason, Event, Watch};
pub use words::ledger::Ledger;
pub use words::message::{IntoReply, MESSAGE_BYTES_MAX, Message, OrLater, later};
pub use words::overflow::Overflow;
pub use words::priority::Priority;
pub use words::slice::Slice;
pub use words::stop_reason::StopReason;
pub use words::supervision::{Backoff, Failure, Intensity, Restart, RestartScope};
pub use words::trace::TraceId;

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
    pub use crate::route::macro_support::{
        Answer, Answered, Argument, HookReply, HookResult, Payload, Told, block_on, captures,
    };
    pub use crate::route::subsystem::AllRoutesInOneBlock;
}
