//! What a route may have beside its pattern and its handler.

use std::time::Duration;

/// What a route may have beside its pattern and its handler. `#[route("…", within = "2s")]` makes it; by hand
/// see [`RouteTable::on_async_with`](crate::RouteTable::on_async_with).
#[derive(Debug, Default, Clone, Copy)]
#[must_use = "give it to the route table"]
pub struct RouteOptions {
    pub(crate) within: Option<Duration>,
}

impl RouteOptions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the handler may take, from its beginning on. Then it is cut off: its future is dropped where it
    /// awaits. Its asker gets [`DeadlineExceeded`](crate::error::AskError::DeadlineExceeded), a message that was
    /// told is a dead letter, and both count as failed. The subsystem goes on with its state as the handler has
    /// left it; with [`restart_on_error`](crate::MountOptions::restart_on_error) it is restarted.
    ///
    /// A handler that takes a [`Reply`](crate::extract::Reply) has that time until it returns, not until the
    /// reply is given. One that computes, or blocks its thread, is not cut off before it awaits.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}
