//! The timer of a sender that waits, for room or for a reply.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use crate::base::clock::Due;
use crate::base::user_code::shielded;
use crate::runtime::shared::Shared;
use crate::thread::Local;

/// Wakes the sender's task when its deadline has passed. The timer is made when it is first needed, and boxed: most
/// senders need none, and moving a future without it costs half.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>);

impl Timer {
    /// True if the deadline has passed. Otherwise the task is woken when it has passed: by the timer, or by the
    /// supervisor if the deadline is a rough one.
    pub(super) fn is_over(&mut self, shared: &Shared, due: Due, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = due.stamp() else {
            return false;
        };
        let now = shared.clock.now();
        if due.is_past(now) || due.is_rough() {
            return due.is_past(now);
        }
        let timer = self.0.get_or_insert_with(|| {
            let left_ns = shared.clock.between_ns(now, deadline);
            sleep(shared, Duration::from_nanos(left_ns), cx)
        });
        timer.as_mut().poll(cx).is_ready()
    }
}

/// A timer that fires even if the calling thread is busy: the keepers drive it. A handler that is polled by its own
/// thread uses that thread's timers.
fn sleep(
    shared: &Shared,
    duration: Duration,
    cx: &Context<'_>,
) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
    if Local::of(&shared.pool).is_task_of(cx.waker()) {
        return Box::pin(tokio::time::sleep(duration));
    }
    let _guard = shared.keepers.enter();
    // The keepers wake the sender's task. A panic of its waker must not end them.
    Box::pin(shielded(tokio::time::sleep(duration)))
}
