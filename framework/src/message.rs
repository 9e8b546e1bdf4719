//! Messages: what subsystems say to each other.

use crate::priority::Priority;

/// A typed message with the type of its reply. Derive it.
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

/// What a handler may return for a message whose reply is `R`: `R` itself, or a `Result<R, E>` with
/// any error that `anyhow` takes.
#[diagnostic::on_unimplemented(
    message = "a handler that returns `{Self}` does not answer with `{R}`",
    label = "this is not the message's reply",
    note = "return the type that the message names in `#[message(reply = …)]`, or a `Result` of it; a message without it is answered with `()`"
)]
pub trait IntoReply<R> {
    /// The reply, or why there is none.
    ///
    /// # Errors
    /// The handler's own error.
    fn into_reply(self) -> Result<R, anyhow::Error>;
}

impl<R> IntoReply<R> for R {
    fn into_reply(self) -> Result<R, anyhow::Error> {
        Ok(self)
    }
}

impl<R, E: Into<anyhow::Error>> IntoReply<R> for Result<R, E> {
    fn into_reply(self) -> Result<R, anyhow::Error> {
        self.map_err(Into::into)
    }
}
