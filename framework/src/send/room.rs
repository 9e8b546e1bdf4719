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

/// A way to send, tried once and, when there may be room, again. A refused message stays where it is.
pub(crate) trait Attempt<M> {
    fn shared(&self) -> &Arc<Shared>;

    fn attempt(&mut self, message: &mut Option<M>) -> Result<(), Failed>;

    /// When it gives up waiting for room; `None` if it does not wait at all. Asked after the first attempt
    /// that failed.
    fn due(&mut self) -> Option<Due>;
}

/// A message on its way: tries until there is room. Made by [`until_room`].
///
/// Written by hand, since the first try nearly always succeeds and an `async fn` would move the message
/// and the result about between its states: 60 instructions per message.
#[must_use = "nothing is sent before it is polled"]
pub(crate) struct Sending<M, A> {
    /// Beside what its sender brings along: a parser of a capture may panic.
    held: Beside<M>,
    attempt: A,
    /// Boxed: few messages wait, and those that don't are spared its room and its drop.
    queued: Option<QueueSlot>,
}

// Nothing in it is ever pinned.
impl<M, A> Unpin for Sending<M, A> {}

/// Tries until there is room, or the attempt's deadline has passed. The first try is made when it is first
/// polled; dropped while it waits, it has sent nothing.
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

    /// Goes on trying after an attempt that failed, until one does not fail for lack of room.
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
            // Registered first, tried once more, then asleep: see `waiters`.
            if queued.register(cx.waker()) {
                sim::preempt(Point::Queued);
                // Before the attempt, which may unwind. Afterwards as well: others may have missed the room
                // that it found, and no one else tells them: a thief of envelopes wakes one, who may find the
                // next in the thief's own lane. And if it is refused, the room is there, and not for it.
                queued.owes_wake = queued.has_slept;
                match attempt_again(&mut self.attempt, &mut self.held.0) {
                    Ok(()) => {
                        if let Some(slot) = self.queued.take() {
                            vacate(slot);
                        }
                        return Poll::Ready(Ok(()));
                    }
                    // Other room is lacking now: begin again with that. But of replicas one may lack a place
                    // and the next one an envelope, each time in turn: then it waits for the envelope. Every
                    // message that makes a place gives one back.
                    Err(Failed::Full(room, mailbox))
                        if room != queued.room
                            && !(room == Room::Mailbox && has_queued_at_a_mailbox) =>
                    {
                        failed = Some(Failed::Full(room, mailbox));
                        continue;
                    }
                    // No one will tell it there: the one that it waits for has ended, and another has come
                    // in its place, or is next in turn.
                    Err(Failed::Full(room, mailbox))
                        if room == Room::Mailbox
                            && !Arc::ptr_eq(&mailbox, &queued.mailbox)
                            && queued.mailbox.inbox.is_closed() =>
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

/// Kept out of line: one copy of an attempt is in its sender's own code already.
#[inline(never)]
fn attempt_again<M, A: Attempt<M>>(attempt: &mut A, message: &mut Option<M>) -> Result<(), Failed> {
    attempt.attempt(message)
}

/// The memory of a sender that waits.
type QueueSlot = Box<Option<Queued>>;

/// Memory that a thread keeps for those who wait next.
const SPARES: usize = 16;

thread_local! {
    /// Empty ones: to wait again allocates nothing.
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
    // What was there leaves its queue; its waker is the user's.
    discard(place.take());
    // The thread may be ending; then the memory is freed.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARES {
            spare.push(place);
        }
    });
}

/// A sender's place among those who wait for room.
struct Queued {
    shared: Arc<Shared>,
    room: Room,
    mailbox: Arc<Mailbox>,
    place: Option<Ticket>,
    /// Its place among those who wait for an envelope of the reserve.
    seeking: Option<Seeking>,
    wait: Option<Wait>,
    /// When it gives up.
    due: Due,
    timer: Timer,
    /// It has been in a queue before, and so goes to the front.
    again: bool,
    has_slept: bool,
    /// It was woken for room that may be there for others: when it leaves, it wakes the next one.
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
            Room::Mailbox => For::Room(mailbox.id),
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
            Room::Mailbox => None,
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
            Room::Mailbox => self.mailbox.room(),
        }
    }

    /// Makes sure of a place in the queue; true if it is a new one, so that there may be room.
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
            Room::Mailbox => self.mailbox.wake_next(),
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
        // Woken, and perhaps without need of it: the wake-up is passed on.
        if self.owes_wake || matches!(left, Some(None)) {
            self.wake_next();
        }
        // Its waker is the user's, and the wait and the timer have copies of it. It may be dropped because
        // something unwinds: one by one, for two panics at once abort the process.
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

/// Runs a future on this thread, which sleeps while it waits.
pub(crate) fn park_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    // Most need not wait; a waker is made only for those that must.
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
