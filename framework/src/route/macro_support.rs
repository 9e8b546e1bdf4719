//! What the code written by the macros calls: the entry points of `#[mycelia::main]` and `#[mycelia::test]`, and traits
//! that make rustc report a mistake at the user's token.

use crate::route::extract::Extractor;
use crate::words::message::{HandlerError, IntoReply, Message};

/// Runs a future on this thread, in an actix system of its own.
pub fn block_on<F: Future>(future: F) -> F::Output {
    actix_rt::System::new().block_on(future)
}

/// A message. A trait of its own, so that rustc reports a type that is no message once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "not a message",
    note = "add `#[derive(Message)]` to the type, with `#[message(reply = Type)]` if handlers answer it"
)]
pub trait Payload: Sized {
    /// The type itself.
    type Type: Message;
    /// What answers it.
    type Reply;
    /// Itself.
    fn give(this: Self::Type) -> Self;
}

impl<M: Message> Payload for M {
    type Type = M;
    type Reply = M::Reply;

    #[inline]
    fn give(this: M) -> M {
        this
    }
}

/// A message that can be published. A trait of its own, so that rustc reports one that can't be once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be published",
    label = "can't be published",
    note = "what is subscribed to is a message that is `Clone` and has no reply: `#[derive(Message, Clone)]`; put what is large into an `Arc`"
)]
pub trait TopicPayload: Sized {
    /// The type itself.
    type Type: Message<Reply = ()> + Clone;
    /// What answers it.
    type Reply;
    /// Itself.
    fn give(this: Self::Type) -> Self;
}

impl<M: Message<Reply = ()> + Clone> TopicPayload for M {
    type Type = M;
    type Reply = ();

    #[inline]
    fn give(this: M) -> M {
        this
    }
}

/// An extractor. A trait of its own, so that rustc reports a type that is no extractor once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    label = "a handler can't take this argument",
    note = "after the message a handler takes `Path<T>`, `Query`, `Sender`, `Deadline`, `State<T>`, `Context`, `System` or `Reply<M>` of its message, in any order; `T` of `Path<T>` needs `FromStr`"
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

/// What a hook of a `Cause` takes after `&mut self`.
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

/// What a handler may return where the reply is `Q`. Every handler's type becomes one type here, so that rustc reports
/// a wrong one here only.
pub trait Answer<Q>: Sized {
    /// The type that it becomes.
    type Type;
    /// Converts the value.
    fn give(this: Self) -> Self::Type;
}

impl<Q, R: IntoReply<Q>> Answer<Q> for R {
    type Type = Answered<Q, R::Later>;

    #[inline(always)]
    fn give(this: R) -> Self::Type {
        Answered(this.into_reply())
    }
}

/// What a handler has returned: a reply, an error, or its message for later.
pub struct Answered<Q, L>(Result<Result<Q, anyhow::Error>, L>);

#[diagnostic::do_not_recommend]
impl<Q, L> IntoReply<Q> for Answered<Q, L> {
    type Later = L;

    #[inline(always)]
    fn into_reply(self) -> Result<Result<Q, anyhow::Error>, L> {
        self.0
    }
}

/// What a hook may return.
#[diagnostic::on_unimplemented(
    message = "a hook can't return `{Self}`",
    label = "not what a hook returns",
    note = "a hook returns nothing, or a `Result<(), E>` with any error that `anyhow` takes"
)]
pub trait HookReply: Sized {
    /// Converts the value.
    fn give(this: Self) -> HookResult;
}

/// What all hooks return.
pub type HookResult = Result<(), anyhow::Error>;

impl HookReply for () {
    fn give((): ()) -> HookResult {
        Ok(())
    }
}

impl<E: HandlerError> HookReply for Result<(), E> {
    fn give(this: Self) -> HookResult {
        this.map_err(Into::into)
    }
}

/// How many captures an extractor takes.
pub const fn captures<E: Extractor>() -> usize {
    E::CAPTURES
}
