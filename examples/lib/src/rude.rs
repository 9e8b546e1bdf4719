//! Rude ways with a future: wakers that panic, and a future that is forgotten. The model of the simulation has this
//! file too, by its path, for the tests run it as well: it uses nothing of its neighbours.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled with wakers that panic when they have woken.
pub struct RudelyWoken<F>(pub Pin<Box<F>>);

struct Rude(Waker);

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_ref();
        panic!("on purpose, by a waker");
    }
}

impl<F: Future> Future for RudelyWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::new(Rude(cx.waker().clone())));
        self.0.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// Polls a future once; forgets it, and returns none, if it waits.
pub fn begin_and_forget<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut cx = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => {
            std::mem::forget(future);
            None
        }
    }
}
