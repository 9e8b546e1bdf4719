//! What the macros' code calls: the entry points `#[mycelia::main]` and `#[mycelia::test]`, and the
//! questions that put the compiler's answer at the user's token.

use crate::extract::Extractor;
use crate::message::{IntoReply, Message, Nothing};

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

/// What a hook takes after `&mut self` that is told of a `Cause`.
#[diagnostic::on_unimplemented(
    message = "this hook is told `{Cause}`, not `{Self}`",
    label = "not what the hook is told",
    note = "after `&mut self`, `#[restarting]` takes a `Failure` and `#[stopped]` an `EndReason`; then come extractors"
)]
pub trait Told<Cause>: Sized {
    /// Itself.
    fn give(cause: Cause) -> Self;
}

impl<Cause> Told<Cause> for Cause {
    fn give(cause: Cause) -> Self {
        cause
    }
}

/// What a hook may return.
#[diagnostic::on_unimplemented(
    message = "a hook can't return `{Self}`",
    label = "nobody takes this",
    note = "a hook returns nothing, or a `Result<(), E>` with any error that `anyhow` takes"
)]
pub trait HookReply: IntoReply<(), Later = Nothing> {}

impl HookReply for () {}

impl<E: Into<anyhow::Error>> HookReply for Result<(), E> {}

/// Asks the compiler whether `R` is what a hook may return.
pub fn is_hook_reply<R: HookReply>() {}

/// How many captures an extractor takes.
pub const fn captures<E: Extractor>() -> usize {
    E::CAPTURES
}

/// Asks the compiler whether `R` answers `M`.
pub fn is_reply<M: Message, R: IntoReply<M::Reply>>() {}
