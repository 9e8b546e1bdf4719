//! Errors: one enum per failing verb, each variant a fact.
//!
//! A send that fails hands the message back ([`Undelivered`]); every error says whether sending again
//! can help. Lower case, no full stop, what to do after the semicolon. An error of ours within another
//! is told in the outer one's text. An error that is not ours, a handler's or the operating system's, is
//! the [`source`](std::error::Error::source) and keeps its type; the text does not repeat it, so that a
//! report of the whole chain tells each part once.

mod ask;
mod keep;
mod send;

pub use ask::AskError;
pub use keep::{HookFailure, MountError, StartError, UnmountError};
pub use send::{CaptureError, Room, SendError, Undelivered};
