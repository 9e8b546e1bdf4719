//! Errors: one enum per failing verb, each variant a fact.
//!
//! A send that fails hands the message back ([`Undelivered`]). Every error says whether sending again can help. A text
//! is in lower case, without a full stop; after the semicolon it says what to do. The text of an error of ours contains
//! the error of ours within it. An error that is not ours, a handler's or the operating system's, is the
//! [`source`](std::error::Error::source) and keeps its type. The text does not repeat it, so that a report of the whole
//! chain says each part once.

mod ask;
mod keep;
mod manage;
mod send;

pub use ask::AskError;
pub use keep::{HookFailure, MountError, StartError, UnmountError};
pub use manage::ManageError;
pub use send::{CaptureError, Room, SendError, Undelivered};
