//! Sending: from a message in hand to an envelope in a mailbox. `**`send`** → route → envelope`
//!
//! One function, [`attempt`], does the work for every verb: it packs, stamps and pushes, or hands the
//! message back. The verbs differ in what they do when there is no room ([`until_room`] waits) and in
//! whether they want a reply ([`Answer`] waits for it).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::envelope::Envelope;
use crate::error::{AskError, Room, SendError, Undelivered};
use crate::extract::Address;
use crate::host::handler::Failure;
use crate::mailbox::Seat;
use crate::mailbox::inbox::Refusal;
use crate::message::Message;
use crate::pool::waiters::{Place, Waiters};
use crate::route::{Pack, Unpacked};
use crate::shared::{Phase, Shared};
use crate::token::Token;
use crate::waits::{For, Wait};

/// Where a message is to go: a seat, and how a route there takes it.
pub(crate) struct Target<'t, M> {
    pub(crate) seat: &'t Arc<Seat>,
    pub(crate) table: u32,
    pub(crate) pack: &'t dyn Pack<M>,
    /// The route's text, for errors.
    pub(crate) route: &'t dyn Fn() -> Box<str>,
}

/// What kind of send it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Tell,
    /// With the deadline, if there is one.
    Ask(Option<Duration>),
}

/// A message that was accepted.
pub(crate) struct Sent {
    /// Its envelope's number, where an asker will find the reply.
    index: u32,
    /// For an ask only.
    seat: Option<Arc<Seat>>,
    wait: Option<Wait>,
}

/// Why an attempt did not succeed.
pub(crate) enum Attempt<M> {
    /// No room now; whose, and who waits for it.
    Full(M, Room, Arc<Seat>),
    Failed(Undelivered<M>),
}

impl<M> Attempt<M> {
    fn failed(reason: SendError, message: M) -> Self {
        Attempt::Failed(Undelivered::new(reason, message))
    }

    /// For a verb that does not wait.
    pub(crate) fn give_up(self, shared: &Shared) -> Undelivered<M> {
        shared.pool.with_lane(|lane| lane.refused.add(1));
        match self {
            Attempt::Full(message, room, seat) => Undelivered::new(
                SendError::Full {
                    subsystem: seat.name.clone(),
                    room,
                },
                message,
            ),
            Attempt::Failed(undelivered) => undelivered,
        }
    }
}

/// Packs a message and pushes it into its mailbox, or hands it back.
#[inline]
pub(crate) fn attempt<M: Message>(
    shared: &Shared,
    target: &Target<'_, M>,
    mut address: Address<'_>,
    kind: Kind,
    message: M,
) -> Result<Sent, Attempt<M>> {
    let seat = target.seat;
    let me = shared.current();
    match shared.phase() {
        Phase::Open => {}
        Phase::Draining if me != 0 => {}
        _ => return Err(Attempt::failed(SendError::Stopped, message)),
    }
    let mut wait = None;
    if let Kind::Ask(_) = kind
        && me != 0
    {
        match shared.waits.begin(me, For::Reply(seat.id)) {
            Ok(begun) => wait = Some(begun),
            Err(cycle) => {
                let cycle = cycle_text(shared, &cycle);
                return Err(Attempt::failed(SendError::WaitCycle { cycle }, message));
            }
        }
    }
    let pushed = push(shared, target, &mut address, kind, me, message);
    match pushed {
        Ok(index) => Ok(Sent {
            index,
            seat: matches!(kind, Kind::Ask(_)).then(|| seat.clone()),
            wait,
        }),
        Err(failed) => {
            if let Some(wait) = &wait {
                shared.waits.end(wait);
            }
            Err(failed)
        }
    }
}

#[inline]
fn push<M: Message>(
    shared: &Shared,
    target: &Target<'_, M>,
    address: &mut Address<'_>,
    kind: Kind,
    me: u32,
    message: M,
) -> Result<u32, Attempt<M>> {
    let seat = target.seat;
    let pool = &shared.pool;
    let packed = pool.with_lane(|lane| target.pack.pack(message, address, pool, lane));
    let mut envelope = match packed {
        Ok(envelope) => envelope,
        Err((message, Unpacked::NoEnvelope)) => {
            return Err(if seat.inbox.is_closed() {
                closed(seat, message)
            } else {
                Attempt::Full(message, Room::Pool, seat.clone())
            });
        }
        Err((message, Unpacked::Capture(error))) => {
            let reason = SendError::BadCapture {
                route: (target.route)(),
                error: Box::new(error),
            };
            return Err(Attempt::failed(reason, message));
        }
    };
    let index = envelope.index();
    let reply_slot = envelope.reply_slot();
    let now = shared.clock.now();
    let head = envelope.head_mut();
    head.sent = now.0;
    head.deadline = 0;
    head.is_ask = false;
    head.table = target.table;
    head.sender = me;
    head.route = target.pack.route();
    if let Kind::Ask(deadline) = kind {
        reply_slot.reset();
        head.is_ask = true;
        head.deadline = deadline.map_or(0, |deadline| shared.clock.after(now, deadline).0);
    }
    match seat.push(&pool.links, envelope.into_token()) {
        Ok(()) => Ok(index),
        Err((token, refusal)) => {
            let mut envelope = Envelope::new(&pool.slab, token);
            let message = target.pack.unpack(&mut envelope);
            pool.release_one(envelope);
            Err(match refusal {
                Refusal::Full => Attempt::Full(message, Room::Mailbox, seat.clone()),
                Refusal::Closed => closed(seat, message),
            })
        }
    }
}

fn closed<M>(seat: &Seat, message: M) -> Attempt<M> {
    let subsystem = seat.name.clone();
    Attempt::failed(SendError::Closed { subsystem }, message)
}

fn cycle_text(shared: &Shared, cycle: &[u32]) -> Box<str> {
    let names: Vec<Arc<str>> = cycle
        .iter()
        .map(|seat| {
            shared
                .directory
                .name_of(*seat)
                .unwrap_or_else(|| "?".into())
        })
        .collect();
    names.join(" -> ").into()
}

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
        let outcome = poll_fn(|cx| {
            let fresh = queued.register(cx.waker(), again);
            again = true;
            if fresh {
                let Some(message) = held.take() else {
                    return Poll::Pending;
                };
                match try_once(message) {
                    Ok(sent) => return Poll::Ready(Some(Ok(sent))),
                    // Other room is lacking now: begin again with that.
                    Err(Attempt::Full(back, what, _)) if what != room => {
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

/// The reply of an accepted ask, to come.
pub(crate) struct Answer<'s, M> {
    shared: &'s Shared,
    seat: Arc<Seat>,
    index: u32,
    wait: Option<Wait>,
    done: bool,
    message: std::marker::PhantomData<fn(M)>,
}

impl<'s, M: Message> Answer<'s, M> {
    pub(crate) fn new(shared: &'s Shared, sent: Sent) -> Self {
        Answer {
            shared,
            seat: sent.seat.expect("an ask knows its receiver"),
            index: sent.index,
            wait: sent.wait,
            done: false,
            message: std::marker::PhantomData,
        }
    }

    /// Waits for the reply until `deadline` has passed.
    pub(crate) async fn within(self, deadline: Duration) -> Result<M::Reply, AskError<M>> {
        let subsystem = self.seat.name.clone();
        let mut answer = std::pin::pin!(self);
        // Most replies come before a timer is worth its while.
        if let Poll::Ready(reply) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
            return reply;
        }
        let mut timer = std::pin::pin!(sleep(answer.shared, deadline));
        poll_fn(|cx| {
            if let Poll::Ready(reply) = answer.as_mut().poll(cx) {
                return Poll::Ready(reply);
            }
            timer.as_mut().poll(cx).map(|()| {
                Err(AskError::DeadlineExceeded {
                    subsystem: subsystem.clone(),
                    deadline,
                })
            })
        })
        .await
    }
}

/// A timer that works on every executor: outside the system's threads the keepers drive it.
fn sleep(shared: &Shared, duration: Duration) -> tokio::time::Sleep {
    let _guard = (shared.current() == 0).then(|| shared.keepers.enter());
    tokio::time::sleep(duration)
}

impl<M: Message> Future for Answer<'_, M> {
    type Output = Result<M::Reply, AskError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let pool = &this.shared.pool;
        if !pool.slab.slot(this.index).reply.poll(cx.waker()) {
            return Poll::Pending;
        }
        this.done = true;
        // The host has handed the envelope over.
        let mut envelope = Envelope::new(&pool.slab, Token::mint(this.index));
        let reply = match envelope.take::<M::Reply>() {
            Some(reply) => Ok(reply),
            None => Err(this.error(envelope.take::<Failure>())),
        };
        pool.release_one(envelope);
        Poll::Ready(reply)
    }
}

impl<M> Answer<'_, M> {
    fn error(&self, failure: Option<Failure>) -> AskError<M> {
        let subsystem = self.seat.name.clone();
        match failure {
            Some(Failure::Failed(error)) => AskError::Failed(error),
            Some(Failure::Panicked(message)) => AskError::Panicked { subsystem, message },
            Some(Failure::Expired) => AskError::DeadlineExceeded {
                subsystem,
                deadline: Duration::ZERO,
            },
            Some(Failure::Unhandled) | None => AskError::Unhandled { subsystem },
        }
    }
}

impl<M> Drop for Answer<'_, M> {
    fn drop(&mut self) {
        if let Some(wait) = &self.wait {
            self.shared.waits.end(wait);
        }
        let pool = &self.shared.pool;
        if !self.done && pool.slab.slot(self.index).reply.abandon() {
            // The reply had come; the envelope is ours to return.
            pool.release_one(Envelope::new(&pool.slab, Token::mint(self.index)));
        }
    }
}
