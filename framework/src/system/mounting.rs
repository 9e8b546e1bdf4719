//! The future of a mount.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use crate::words::error::MountError;

/// A mount under way, as [`System::mount`](super::System::mount) and the like return it.
///
/// It has one type for all subsystems, so that one without routes is told once, at the call, and not
/// again where the future is awaited.
#[must_use = "nothing is mounted until it is awaited"]
pub struct Mounting<'a>(BoxFuture<'a, Result<(), MountError>>);

impl<'a> Mounting<'a> {
    pub(crate) fn new(future: impl Future<Output = Result<(), MountError>> + Send + 'a) -> Self {
        Mounting(Box::pin(future))
    }
}

impl Future for Mounting<'_> {
    type Output = Result<(), MountError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.as_mut().poll(cx)
    }
}
