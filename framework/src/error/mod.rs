//! Errors: one enum per failing verb, each variant a fact.
//!
//! A send that fails hands the message back ([`Undelivered`]); every error says whether sending again
//! can help. Lower case, no full stop, what to do after the semicolon. Each tells the whole story in
//! its own text, causes included; so none names its cause a second time as a source.

mod ask;
mod keep;
mod send;

pub use ask::AskError;
pub use keep::{HookFailure, MountError, StartError, UnmountError};
pub use send::{CaptureError, Room, SendError, Undelivered};
