//! A request to the keepers that goes on when no one waits for it any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::runtime::shared::Shared;

/// A request; dropped before its end it goes on beside the keepers. (By itself actix leaves out a request
/// whose sender has gone before it comes to it: an unmount or a stop that was given up at once would not be
/// made, and a system that counts as stopping would never stop.)
pub(super) struct Detached<F: Future<Output: Send> + Send + 'static> {
    /// None once it has ended.
    request: Option<Pin<Box<F>>>,
    shared: Arc<Shared>,
}

impl<F: Future<Output: Send> + Send + 'static> Detached<F> {
    pub(super) fn new(shared: &Arc<Shared>, request: F) -> Self {
        Detached {
            request: Some(Box::pin(request)),
            shared: shared.clone(),
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Detached<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(request) = &mut self.request else {
            return Poll::Pending;
        };
        let polled = request.as_mut().poll(cx);
        if polled.is_ready() {
            self.request = None;
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Detached<F> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.shared.keepers.spawn(async move {
                let _ = request.await;
            });
        }
    }
}
