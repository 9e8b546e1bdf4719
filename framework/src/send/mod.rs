//! Sending: from a message in hand to an envelope in a mailbox. `**`send`** → route → envelope`
//!
//! One function, [`attempt`], does the work for every verb: it packs, stamps and pushes, or hands the
//! message back. The verbs differ in what they do when there is no room ([`until_room`] waits) and in
//! whether they want a reply ([`Answer`] waits for it).

mod answer;
mod room;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use answer::Answer;
pub(crate) use room::{park_on, until_room};

use crate::envelope::Envelope;
use crate::error::{Room, SendError, Undelivered};
use crate::extract::Address;
use crate::mailbox::Seat;
use crate::mailbox::inbox::Refusal;
use crate::message::Message;
use crate::route::{Pack, Unpacked};
use crate::shared::Shared;
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
    if shared.is_closed_to(me) {
        return Err(Attempt::failed(SendError::Stopped, message));
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
    if seat.is_full() && !seat.inbox.is_closed() {
        // Known before an envelope is taken from those who could use it.
        return Err(Attempt::Full(message, Room::Mailbox, seat.clone()));
    }
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
