//! What the macros' code calls: the entry points `#[mycelia::main]` and `#[mycelia::test]`, and the
//! questions that put the compiler's answer at the user's token.

use crate::extract::Extractor;
use crate::message::{IntoReply, Message};

/// Runs a future on this thread, in an actix system of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    actix_rt::System::new().block_on(future)
}

/// A message, by a name that rustc knows nothing of for any other type; so a mistake is reported once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "not a message",
    note = "add `#[derive(Message)]` to the type, with `#[message(reply = Type)]` if handlers answer it"
)]
pub trait Payload: Sized {
    /// The type itself.
    type Type: Message;
    /// Itself.
    fn give(this: Self::Type) -> Self;
}

impl<M: Message> Payload for M {
    type Type = M;

    #[inline]
    fn give(this: M) -> M {
        this
    }
}

/// An extractor, by a name that rustc knows nothing of for any other type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    label = "a handler can't take this argument",
    note = "after the message a handler takes `Path<T>`, `Query`, `Sender`, `Deadline`, `State<T>`, `Context` or `System`, in any order; `T` of `Path<T>` needs `FromStr`"
)]
pub trait Argument: Sized {
    /// The type itself.
    type Type: Extractor;
    /// Itself.
    fn give(this: Self::Type) -> Self;
}

impl<E: Extractor> Argument for E {
    type Type = E;

    #[inline]
    fn give(this: E) -> E {
        this
    }
}

/// Asks the compiler whether `R` is what a hook may return.
pub fn is_hook_reply<R: IntoReply<()>>() {}

/// How many captures an extractor takes.
pub const fn captures<E: Extractor>() -> usize {
    E::CAPTURES
}

/// Asks the compiler whether `R` answers `M`.
pub fn is_reply<M: Message, R: IntoReply<M::Reply>>() {}
