//! Waiting for room: for an envelope, or for a place in a bounded mailbox.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::timer::Timer;
use super::{Failed, begin_wait};
use crate::base::clock::Due;
use crate::base::sim::{self, Point};
use crate::base::sync::Parker;
use crate::base::user_code::{Beside, discard};
use crate::envelope::pool::reserve::Seeking;
use crate::envelope::pool::waiters::{Ticket, Waiters};
use crate::mailbox::Mailbox;
use crate::runtime::deadlock::{For, Wait};
use crate::runtime::shared::Shared;
use crate::words::error::{Room, SendError, Undelivered};

/// A way to send. It is tried once, and again when there may be room. A refused message stays where it is.
pub(crate) trait Attempt<M> {
    fn shared(&self) -> &Arc<Shared>;

    fn attempt(&mut self, message: &mut Option<M>) -> Result<(), Failed>;

    /// When the sender gives up waiting for room; `None` if it does not wait. Called after the first attempt
    /// that failed.
    fn due(&mut self) -> Option<Due>;
}

/// The future of a send: it tries until there is room. [`until_room`] makes it.
///
/// It is written by hand because the first try nearly always succeeds. An `async fn` would move the message and the
/// result between its states, which costs 60 instructions per message.
#[must_use = "nothing is sent before it is polled"]
pub(crate) struct Sending<M, A> {
    /// The message. An attempt calls user code, such as the parser of a capture, which may panic.
    held: Beside<M>,
    attempt: A,
    /// The sender's place in the queue, while it waits. Boxed: few senders wait, and the others neither move nor
    /// drop it.
    queued: Option<QueueSlot>,
}

// Nothing in it is ever pinned.
impl<M, A> Unpin for Sending<M, A> {}

/// Tries until there is room, or the attempt's deadline has passed. The first poll makes the first try. A future
/// that is dropped while it waits has sent nothing.
#[inline]
pub(crate) fn until_room<M, A: Attempt<M>>(message: M, attempt: A) -> Sending<M, A> {
    Sending {
        held: Beside(Some(message)),
        attempt,
        queued: None,
    }
}

impl<M, A: Attempt<M>> Future for Sending<M, A> {
    type Output = Result<(), Undelivered<M>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut failed = None;
        if this.queued.is_none() {
            match this.attempt.attempt(&mut this.held.0) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(first) => failed = Some(first),
            }
        }
        this.wait(failed, cx)
    }
}

impl<M, A: Attempt<M>> Sending<M, A> {
    pub(super) fn attempt(&mut self) -> &mut A {
        &mut self.attempt
    }

    #[cold]
    fn wait(
        &mut self,
        failed: Option<Failed>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Undelivered<M>>> {
        self.go_on(failed, cx).map_err(|failed| {
            if let Some(slot) = self.queued.take() {
                vacate(slot);
            }
            failed.give_up(self.attempt.shared(), self.held.0.take())
        })
    }

    /// Tries again after an attempt that failed for lack of room, until one succeeds or fails for another reason.
    fn go_on(
        &mut self,
        mut failed: Option<Failed>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        let mut has_queued_at_a_mailbox = false;
        loop {
            if let Some(failed) = failed.take() {
                let Failed::Full(room, mailbox) = failed else {
                    return Poll::Ready(Err(failed));
                };
                let again = self.queued.take().map(vacate).is_some();
                let due = self.attempt.due();
                let shared = self.attempt.shared();
                let Some(due) = due.filter(|_| !shared.must_not_wait()) else {
                    return Poll::Ready(Err(Failed::Full(room, mailbox)));
                };
                has_queued_at_a_mailbox |= room == Room::Mailbox;
                let queued = Queued::enter(shared, room, mailbox, again, due)?;
                self.queued = Some(occupy(queued));
            }
            let Some(queued) = self.queued.as_deref_mut().and_then(Option::as_mut) else {
                unreachable!("it waits only after an attempt that failed");
            };
            // It registers first, tries once more, and only then sleeps: see `waiters`.
            if queued.register(cx.waker()) {
                sim::preempt(Point::Queued);
                // Set before the attempt, which may unwind. It stays set if the attempt succeeds or is refused:
                // there may be room for others, of which this sender alone was told. A thread that takes the
                // envelopes of another lane wakes one sender only.
                queued.owes_wake = queued.has_slept;
                // What it waits for does not come.
                if queued.room == Room::Start
                    && let Some(why) = queued.shared.failed_start(&queued.mailbox)
                {
                    return Poll::Ready(Err(Failed::refused(why)));
                }
                match attempt_again(&mut self.attempt, &mut self.held.0) {
                    Ok(()) => {
                        if let Some(slot) = self.queued.take() {
                            vacate(slot);
                        }
                        return Poll::Ready(Ok(()));
                    }
                    // The other kind of room is lacking now: wait for that. With replicas the two could take turns
                    // without end, since each attempt may go to another one. So a sender that has waited for
                    // a place waits for an envelope from then on: each message that frees a place frees one too.
                    Err(Failed::Full(room, mailbox))
                        if room != queued.room
                            && !(room == Room::Mailbox && has_queued_at_a_mailbox) =>
                    {
                        failed = Some(Failed::Full(room, mailbox));
                        continue;
                    }
                    // The mailbox that it waits for is closed, so it would not be woken there. Wait for the one that
                    // took its place; or for the start of a subsystem that will have another one.
                    Err(Failed::Full(room, mailbox))
                        if room != Room::Pool
                            && !Arc::ptr_eq(&mailbox, &queued.mailbox)
                            && (room == Room::Start || queued.mailbox.inbox.is_closed()) =>
                    {
                        failed = Some(Failed::Full(room, mailbox));
                        continue;
                    }
                    Err(Failed::Full(..)) => queued.owes_wake = false,
                    Err(refused) => return Poll::Ready(Err(refused)),
                }
            }
            if queued.is_late(cx) {
                let (room, mailbox) = (queued.room, queued.mailbox.clone());
                return Poll::Ready(Err(Failed::Full(room, mailbox)));
            }
            if queued.is_hopeless(cx.waker()) {
                let cycle = queued.cycle();
                return Poll::Ready(Err(Failed::refused(SendError::WaitCycle { cycle })));
            }
            queued.has_slept = true;
            return Poll::Pending;
        }
    }
}

/// Not inlined: the sender's code has one copy of an attempt already.
#[inline(never)]
fn attempt_again<M, A: Attempt<M>>(attempt: &mut A, message: &mut Option<M>) -> Result<(), Failed> {
    attempt.attempt(message)
}

/// The memory for a sender that waits.
type QueueSlot = Box<Option<Queued>>;

/// The most empty slots that a thread keeps.
const SPARES: usize = 16;

thread_local! {
    /// Empty slots, so that the next wait allocates nothing.
    static SPARE: RefCell<Vec<QueueSlot>> = const { RefCell::new(Vec::new()) };
}

fn occupy(queued: Queued) -> QueueSlot {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
    match spare.ok().flatten() {
        Some(mut place) => {
            *place = Some(queued);
            place
        }
        None => Box::new(Some(queued)),
    }
}

fn vacate(mut place: QueueSlot) {
    // The sender leaves its queue. That drops its waker, which is user code.
    discard(place.take());
    // If the thread is ending, the memory is freed.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARES {
            spare.push(place);
        }
    });
}

/// A sender that waits for room.
struct Queued {
    shared: Arc<Shared>,
    room: Room,
    /// The mailbox that its message is for.
    mailbox: Arc<Mailbox>,
    /// Its place among those that wait for this room.
    place: Option<Ticket>,
    /// Its place among those that wait for an envelope of the reserve.
    seeking: Option<Seeking>,
    /// If a handler sends: its wait, as the search for wait cycles knows it.
    wait: Option<Wait>,
    /// When it gives up.
    due: Due,
    timer: Timer,
    /// It has been in a queue before, so it goes to the front.
    again: bool,
    /// It has returned `Pending`.
    has_slept: bool,
    /// It was woken, and there may be room for others: when it leaves, it wakes the next one.
    owes_wake: bool,
}

impl Queued {
    fn enter(
        shared: &Arc<Shared>,
        room: Room,
        mailbox: Arc<Mailbox>,
        again: bool,
        due: Due,
    ) -> Result<Self, Failed> {
        let what = match room {
            Room::Pool => For::Envelope,
            Room::Mailbox | Room::Start => For::Room(mailbox.id),
        };
        let wait = match shared.current() {
            0 => None,
            me => {
                shared.note_wait();
                Some(begin_wait(shared, me, what)?)
            }
        };
        let seeking = match room {
            Room::Pool => shared.pool.reserve.join(mailbox.clone()),
            Room::Mailbox | Room::Start => None,
        };
        Ok(Queued {
            shared: shared.clone(),
            room,
            mailbox,
            place: None,
            seeking,
            wait,
            due,
            timer: Timer::default(),
            again,
            has_slept: false,
            owes_wake: false,
        })
    }

    fn waiters(&self) -> &Waiters {
        match self.room {
            Room::Pool => &self.shared.pool.room,
            Room::Mailbox | Room::Start => self.mailbox.room(),
        }
    }

    /// Makes sure that it has a place in the queue. True if the place is new: then there may be room already.
    fn register(&mut self, waker: &Waker) -> bool {
        let again = self.again;
        let seeks = (self.seeking.as_mut()).is_some_and(|seeking| seeking.register(waker, again));
        if let Some(place) = self.place
            && self.waiters().renew(place, waker)
        {
            return seeks;
        }
        let due = match self.due.is_rough() {
            true => self.due,
            false => Due::NEVER,
        };
        let place = self.waiters().register(waker, self.again, due);
        self.place = Some(place);
        self.again = true;
        true
    }

    /// Lets the next waiter look for room.
    fn wake_next(&self) {
        match self.room {
            Room::Pool => self.shared.pool.wake_next(),
            Room::Mailbox | Room::Start => self.mailbox.wake_next(),
        }
    }

    /// True if its deadline has passed.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        self.timer.is_over(&self.shared, self.due, cx)
    }

    fn is_hopeless(&self, waker: &Waker) -> bool {
        self.wait
            .as_ref()
            .is_some_and(|wait| wait.is_hopeless(waker))
    }

    fn cycle(&self) -> Box<str> {
        if let Some(cycle) = self.wait.as_ref().and_then(Wait::cycle) {
            return cycle;
        }
        let shared = &self.shared;
        let me = shared
            .directory
            .name_of(shared.current())
            .unwrap_or_else(|| "a subsystem".into());
        format!(
            "`{me}` waits for an envelope, and all that `{}` may have are with subsystems that wait for one too",
            self.mailbox.name
        )
        .into()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let left = self.place.map(|place| self.waiters().leave(place));
        if let Some(seeking) = self.seeking.take() {
            self.shared.pool.reserve.leave(seeking);
        }
        if let Some(wait) = &self.wait {
            self.shared.waits.end(wait.id);
        }
        // It was woken, and perhaps does not need the room: it passes the wake-up on.
        if self.owes_wake || matches!(left, Some(None)) {
            self.wake_next();
        }
        // Its waker is user code, and the wait and the timer have clones of it. This drop may be part of unwinding,
        // and two panics at once abort the process: so each clone is dropped on its own.
        discard(left);
        discard(self.wait.take());
        discard(std::mem::take(&mut self.timer));
    }
}

/// Unparks the thread that waits.
struct Unpark(Parker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread. The thread sleeps while the future waits.
pub(crate) fn park_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    // Most futures need not wait: a waker is made only for those that must.
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
        return output;
    }
    let parked = Arc::new(Unpark(Parker::default()));
    let waker = Waker::from(parked.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending if sim::waits_for_others() => {}
            Poll::Pending => parked.0.park(),
        }
    }
}
