//! What the macros' code calls: the entry points `#[mycelia::main]` and `#[mycelia::test]`, and the
//! questions that put the compiler's answer at the user's token.

use crate::extract::Extractor;
use crate::message::{IntoReply, Message};

/// Runs a future on this thread, in an actix system of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    actix_rt::System::new().block_on(future)
}

/// Asks the compiler whether `M` is a message.
pub fn is_message<M: Message>() {}

/// Asks the compiler whether `E` is an extractor.
pub fn is_extractor<E: Extractor>() {}

/// Asks the compiler whether `R` answers `M`.
pub fn is_reply<M: Message, R: IntoReply<M::Reply>>() {}
