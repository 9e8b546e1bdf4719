//! The timer of a sender that waits, for room or for a reply.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use crate::base::clock::Due;
use crate::base::user_code::shielded;
use crate::runtime::shared::Shared;
use crate::thread::Local;

/// Wakes the sender's task when its deadline has passed. Made when it is first needed, and boxed: most senders
/// need none, and a future without it is moved for half the price.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>);

impl Timer {
    /// True if the deadline has passed. Else the task is polled again when it has: the timer wakes it, or, if
    /// the deadline is a rough one, the supervisor does.
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

/// A timer that goes off whatever the calling thread does: the keepers drive it, unless the caller is a
/// handler that waits for nothing but this, so that its thread drives its own timers.
fn sleep(
    shared: &Shared,
    duration: Duration,
    cx: &Context<'_>,
) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
    if Local::of(&shared.pool).is_task_of(cx.waker()) {
        return Box::pin(tokio::time::sleep(duration));
    }
    let _guard = shared.keepers.enter();
    // The keepers wake the sender's task: what its waker does wrong must not end them.
    Box::pin(shielded(tokio::time::sleep(duration)))
}
