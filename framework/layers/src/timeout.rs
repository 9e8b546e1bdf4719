//! An end to waiting.

use std::time::Duration;

use mycelia::Message;

use crate::layer::{Layer, Next, Outcome};

/// Ends a send that takes longer: the wait for room and the reply, and what the layers further in do. An ask ends with
/// `DeadlineExceeded`; a message that was not accepted comes back, as `Full`.
///
/// Before a [`Retry`](crate::Retry) it bounds all tries and pauses together, after it each try on its own.
#[derive(Debug, Clone, Copy)]
pub struct Timeout(Duration);

impl Timeout {
    /// A layer that ends a send after that long.
    pub fn new(after: Duration) -> Self {
        Timeout(after)
    }
}

impl<M: Message> Layer<M> for Timeout {
    async fn call(&self, message: M, next: Next<'_, M>) -> Outcome<M> {
        next.within(self.0).run(message).await
    }
}
