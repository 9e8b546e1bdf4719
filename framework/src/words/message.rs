//! Messages: what subsystems say to each other.

use crate::words::priority::Priority;

/// A typed message with the type of its reply. Derive it.
///
/// A handler returns the reply, or a `Result` of it and any error type that converts into
/// [`anyhow::Error`]: every `std::error::Error` that is `Send + Sync + 'static`, and `anyhow::Error`
/// itself. The asker gets such an error as [`AskError::Failed`](crate::error::AskError::Failed) with its type
/// kept; see [`AskError::failure`](crate::error::AskError::failure). Where a failure is an answer that every
/// asker must deal with, make the `Result` the reply: `#[message(reply = Result<u64, Broke>)]`. That
/// error counts as handled, and may be of any type that is `Send + 'static`.
///
/// A message is moved on the stack, into its envelope and out of it. So neither it nor its reply may
/// be larger than [`MESSAGE_BYTES_MAX`], which the compiler checks; what is large goes into a `Box` or
/// a `Vec`, of which only the pointer moves.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[derive(Message)]
/// #[message(reply = String)]
/// struct Greet {
///     greeting: String,
/// }
///
/// #[derive(Message)] // the reply is `()`
/// struct Ping;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "not a message",
    note = "add `#[derive(Message)]` to the type, with `#[message(reply = Type)]` if handlers answer it"
)]
pub trait Message: Send + 'static {
    /// What a handler answers.
    type Reply: Send + 'static;

    /// How urgent it is, unless the handle that it is sent by says otherwise.
    const PRIORITY: Priority = Priority::Normal;
}

/// The most bytes of a message and of a reply, without what they own on the heap: 16 KiB.
///
/// In a debug build every move of a value is a copy on the stack, and some forty of them are on it at a
/// time. A thread has 2 MiB of stack; with messages and replies of 32 KiB a handler that asks on overflows it.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Whether a message and its reply are small enough for turns to be nested on the stack.
pub(crate) const fn may_nest<M: Message>() -> bool {
    size_of::<M>() + size_of::<M::Reply>() <= 2048
}

/// What a handler may return for a message whose reply is `R`: `R` itself, a `Result<R, E>` with any
/// error that `anyhow` takes, or [`OrLater`] of either.
#[diagnostic::on_unimplemented(
    message = "a handler that returns `{Self}` does not answer with `{R}`",
    label = "this is not the message's reply",
    note = "return the type that the message names in `#[message(reply = …)]`, or a `Result` of it; a message without it is answered with `()`"
)]
pub trait IntoReply<R> {
    /// The message that a handler gives back for later, if it can.
    #[doc(hidden)]
    type Later;

    /// The reply or the error; or the message, for later.
    #[doc(hidden)]
    fn into_reply(self) -> Result<Result<R, anyhow::Error>, Self::Later>;
}

/// What can be the error of a handler: all that `anyhow` takes.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the error of a handler",
    label = "its error is not one that `anyhow` takes",
    note = "the error type must be one that `anyhow` takes (`std::error::Error + Send + Sync + 'static`): use `anyhow::Error`, or `.map_err(anyhow::Error::msg)` for a text"
)]
pub trait HandlerError: Into<anyhow::Error> {}

#[diagnostic::do_not_recommend]
impl<E: Into<anyhow::Error>> HandlerError for E {}

/// Uninhabited: for handlers that never put a message back.
#[doc(hidden)]
pub enum Nothing {}

/// A message that was given back.
#[doc(hidden)]
pub struct Held<M>(M);

/// What a handler of `M` may give back, with `P` beside it: an `M`, or nothing.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a handler of `{M}` can only keep a `{M}` for later",
    label = "this keeps another message"
)]
pub trait GiveBack<M, P> {
    /// What is kept, while the handler runs, of what travelled beside the message.
    type Kept: Send + 'static;

    fn keep(packed: &P) -> Self::Kept;

    fn give_back(self, kept: Self::Kept) -> (M, P);
}

impl<M, P> GiveBack<M, P> for Nothing {
    type Kept = ();

    #[inline(always)]
    fn keep(_: &P) {}

    fn give_back(self, (): ()) -> (M, P) {
        match self {}
    }
}

impl<M, P: Clone + Send + 'static> GiveBack<M, P> for Held<M> {
    type Kept = P;

    fn keep(packed: &P) -> P {
        packed.clone()
    }

    fn give_back(self, kept: P) -> (M, P) {
        (self.0, kept)
    }
}

impl<R> IntoReply<R> for R {
    type Later = Nothing;

    #[inline]
    fn into_reply(self) -> Result<Result<R, anyhow::Error>, Nothing> {
        Ok(Ok(self))
    }
}

impl<R, E: HandlerError> IntoReply<R> for Result<R, E> {
    type Later = Nothing;

    #[inline]
    fn into_reply(self) -> Result<Result<R, anyhow::Error>, Nothing> {
        Ok(self.map_err(Into::into))
    }
}

/// A reply; or the message, which is not for now: it stays with the subsystem, in the envelope that it
/// came in, and its handler is called again after each message that changes the subsystem, that is after
/// each that is handled and not kept for later itself.
///
/// Meanwhile newer messages are handled; the kept ones keep their order among themselves. They count as
/// waiting, take up room in the mailbox, and expire as others do; when the subsystem ends they are
/// undeliverable. Each message that is handled lets all kept ones be tried once: keep few. The handler's
/// other arguments are kept too: what it takes as [`Path<T>`](crate::extract::Path) must be `Clone`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia::{OrLater, later};
///
/// #[derive(Message)]
/// struct Put(u32);
/// #[derive(Message)]
/// #[message(reply = u32)]
/// struct Take;
///
/// #[derive(Subsystem, Default)]
/// struct Shelf {
///     things: Vec<u32>,
/// }
///
/// #[routes]
/// impl Shelf {
///     #[route("put")]
///     fn put(&mut self, Put(thing): Put) {
///         self.things.push(thing);
///     }
///
///     #[route("take")]
///     fn take(&mut self, take: Take) -> OrLater<u32, Take> {
///         match self.things.pop() {
///             Some(thing) => OrLater::Reply(thing),
///             None => later(take),
///         }
///     }
/// }
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let system = System::builder().start().await?;
/// system.mount(Shelf::default).await?;
/// let shelf = system.route::<Take>("shelf://take")?;
/// let put = async { system.tell("shelf://put", Put(7)).await };
/// // The one who takes comes first, and waits until there is something.
/// let (taken, _) = tokio::join!(shelf.ask(Take), put);
/// assert_eq!(taken?, 7);
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrLater<R, M> {
    /// The reply.
    Reply(R),
    /// The message, for later.
    Later(M),
}

/// Keeps a message for later: see [`OrLater`].
pub fn later<R, M>(message: M) -> OrLater<R, M> {
    OrLater::Later(message)
}

impl<R, M> IntoReply<R> for OrLater<R, M> {
    type Later = Held<M>;

    fn into_reply(self) -> Result<Result<R, anyhow::Error>, Held<M>> {
        match self {
            OrLater::Reply(reply) => Ok(Ok(reply)),
            OrLater::Later(message) => Err(Held(message)),
        }
    }
}

impl<R, M, E: HandlerError> IntoReply<R> for Result<OrLater<R, M>, E> {
    type Later = Held<M>;

    fn into_reply(self) -> Result<Result<R, anyhow::Error>, Held<M>> {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => Ok(Err(error.into())),
        }
    }
}
