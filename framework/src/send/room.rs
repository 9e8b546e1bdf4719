//! Waiting for room: for an envelope, or for a place in a bounded mailbox.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::{Attempt, Sent, cycle_text};
use crate::error::{Room, SendError, Undelivered};
use crate::mailbox::Seat;
use crate::message::Message;
use crate::pool::waiters::{Place, Waiters};
use crate::shared::Shared;
use crate::waits::{For, Wait};

/// Tries until there is room. The first try is made at once; cancelling while it waits sends nothing.
pub(crate) async fn until_room<M: Message>(
    shared: &Shared,
    mut message: M,
    mut try_once: impl FnMut(M) -> Result<Sent, Attempt<M>>,
) -> Result<Sent, Undelivered<M>> {
    let mut again = false;
    loop {
        let (room, seat);
        match try_once(message) {
            Ok(sent) => return Ok(sent),
            Err(Attempt::Full(back, what, whose)) => {
                message = back;
                (room, seat) = (what, whose);
            }
            failed @ Err(Attempt::Failed(_)) => return failed.map_err(|e| e.give_up(shared)),
        }
        let mut queued = match Queued::enter(shared, room, &seat) {
            Ok(queued) => queued,
            Err(cycle) => {
                let failed = Attempt::failed(SendError::WaitCycle { cycle }, message);
                return Err(failed.give_up(shared));
            }
        };
        // Registered first, tried once more, then asleep: see `waiters`.
        let mut held = Some(message);
        let mut slept = false;
        let outcome = poll_fn(|cx| {
            let fresh = queued.register(cx.waker(), again);
            again = true;
            if fresh {
                let Some(message) = held.take() else {
                    return Poll::Pending;
                };
                match try_once(message) {
                    Ok(sent) => {
                        if slept {
                            // Others may have missed the same room: let the next one look.
                            queued.waiters.wake(1);
                        }
                        return Poll::Ready(Some(Ok(sent)));
                    }
                    // Other room is lacking now: begin again with that.
                    Err(Attempt::Full(back, what, _)) if what != room => {
                        queued.waiters.wake(1);
                        held = Some(back);
                        return Poll::Ready(None);
                    }
                    Err(Attempt::Full(back, ..)) => held = Some(back),
                    failed @ Err(Attempt::Failed(_)) => {
                        return Poll::Ready(Some(failed.map_err(|e| e.give_up(shared))));
                    }
                }
            }
            if queued.is_hopeless(cx.waker())
                && let Some(message) = held.take()
            {
                let cycle = queued.cycle(shared);
                let failed = Attempt::failed(SendError::WaitCycle { cycle }, message);
                return Poll::Ready(Some(Err(failed.give_up(shared))));
            }
            slept = true;
            Poll::Pending
        })
        .await;
        drop(queued);
        match (outcome, held) {
            (Some(result), _) => return result,
            (None, Some(back)) => message = back,
            (None, None) => unreachable!("the message is held unless it was sent or handed back"),
        }
    }
}

/// A sender's place among those who wait for room.
struct Queued<'s> {
    shared: &'s Shared,
    waiters: &'s Waiters,
    place: Option<Place>,
    wait: Option<Wait>,
}

impl<'s> Queued<'s> {
    fn enter(shared: &'s Shared, room: Room, seat: &'s Seat) -> Result<Self, Box<str>> {
        let (waiters, what) = match room {
            Room::Pool => (&shared.pool.room, For::Envelope),
            Room::Mailbox => (seat.room(), For::Room(seat.id)),
        };
        let wait = match shared.current() {
            0 => None,
            me => Some(
                shared
                    .waits
                    .begin(me, what)
                    .map_err(|cycle| cycle_text(shared, &cycle))?,
            ),
        };
        Ok(Queued {
            shared,
            waiters,
            place: None,
            wait,
        })
    }

    /// Makes sure of a place in the queue; true if it is a new one, so that there may be room.
    fn register(&mut self, waker: &Waker, again: bool) -> bool {
        if let Some(place) = self.place
            && self.waiters.renew(place, waker)
        {
            return false;
        }
        self.place = Some(self.waiters.register(waker, again));
        true
    }

    fn is_hopeless(&self, waker: &Waker) -> bool {
        self.wait
            .as_ref()
            .is_some_and(|wait| wait.is_hopeless(waker))
    }

    fn cycle(&self, shared: &Shared) -> Box<str> {
        let me = shared
            .directory
            .name_of(shared.current())
            .unwrap_or_else(|| "a subsystem".into());
        format!(
            "`{me}` waits for an envelope, and all {} are with subsystems that wait for one too",
            shared.pool.capacity()
        )
        .into()
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place
            && !self.waiters.leave(place)
        {
            // Woken, and perhaps without need of it: the wake-up is passed on.
            self.waiters.wake(1);
        }
        if let Some(wait) = &self.wait {
            self.shared.waits.end(wait);
        }
    }
}

/// Unparks the thread that waits.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, which sleeps while it waits.
pub(crate) fn park_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    // Most need not wait; a waker is made only for those that must.
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
        return output;
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
