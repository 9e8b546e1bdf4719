//! The list in front of a subsystem: many senders, one receiver, one word.
//!
//! The word holds the number of the newest envelope and a *ticket*: how many were ever accepted. One
//! compare-and-swap therefore links the envelope, gives it its place in the order, counts it as sent,
//! checks the room, and tells whether the receiver sleeps and must be woken. The receiver takes the
//! whole list at once and turns it round: what was sent first is handled first. Since it takes all or
//! nothing, a successor can't be outdated and no tag is needed.
//!
//! Three marks stand in the place of a number when the list is empty: the receiver is awake (it will
//! look again by itself), asleep (who adds next must wake it), or the list is closed.
#![allow(unsafe_code)]

use crate::base::sync::{AtomicU64, Ordering};
use crate::envelope::token::{Chain, INDEX_BITS, INDEX_MASK, Links, NIL, Token};

const AWAKE: u32 = NIL;
const ASLEEP: u32 = NIL - 1;
const CLOSED: u32 = NIL - 2;

/// Tickets wrap round after 2^40 messages; anyone who counts them takes differences.
const TICKET_MASK: u64 = (1 << (64 - INDEX_BITS)) - 1;

#[derive(Debug)]
pub(crate) struct Inbox(AtomicU64);

/// Why the inbox did not take a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

/// What came out of the inbox: in the order in which it went in.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) chain: Chain,
    /// The ticket of the last token in it.
    pub(crate) ticket: u64,
}

fn word(ticket: u64, newest: u32) -> u64 {
    (ticket << INDEX_BITS) | u64::from(newest)
}

fn newest_of(word: u64) -> u32 {
    (word & INDEX_MASK) as u32
}

impl Inbox {
    /// A closed inbox.
    pub(crate) fn new() -> Self {
        Inbox(AtomicU64::new(word(0, CLOSED)))
    }

    /// Adds a token, if fewer than `capacity` messages are unfinished; `finished` counts the messages
    /// that have left the subsystem. Returns true if the receiver sleeps and the caller must wake it.
    #[inline(always)]
    pub(crate) fn push(
        &self,
        links: &Links,
        token: Token,
        capacity: u32,
        finished: impl Fn() -> u64,
    ) -> Result<bool, (Token, Refusal)> {
        // Acquire, here and below: who sees a ticket sees what had ended before it was given.
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let newest = newest_of(seen);
            let ticket = seen >> INDEX_BITS;
            if newest == CLOSED {
                return Err((token, Refusal::Closed));
            }
            if capacity != u32::MAX {
                let unfinished = ticket.wrapping_sub(finished()) & TICKET_MASK;
                if unfinished >= u64::from(capacity) {
                    // Full, unless messages came and went between the two looks.
                    let now = self.0.load(Ordering::Acquire);
                    if now >> INDEX_BITS == ticket {
                        return Err((token, Refusal::Full));
                    }
                    seen = now;
                    continue;
                }
            }
            let older = if newest >= CLOSED { NIL } else { newest };
            links.set_next(token.index(), older);
            let new = word((ticket + 1) & TICKET_MASK, token.index());
            // Release: the envelope's content comes before its taking. Acquire: if we are to wake the
            // receiver, we must see the waker that it left before it went to sleep.
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    let _ = token.surrender();
                    return Ok(newest == ASLEEP);
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Takes all there is, and marks the receiver awake, or asleep if `asleep`: then the next push wakes it, even
    /// if it is still working.
    pub(crate) fn take(&self, links: &Links, asleep: bool) -> Option<Taken> {
        let mark = if asleep { ASLEEP } else { AWAKE };
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            match newest_of(seen) {
                AWAKE | CLOSED => return None,
                // Nothing there, and nothing to say.
                ASLEEP if asleep => return None,
                _ => {}
            }
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, mark),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                // SAFETY: this swap took the list off.
                Ok(_) => return unsafe { in_order(links, seen) },
                Err(now) => seen = now,
            }
        }
    }

    /// Takes all there is for the receiver, which need not know: whether it counts as awake or as asleep
    /// stays as it is while there is nothing. The caller must [`push`](Self::push) afterwards: if the
    /// receiver went to sleep meanwhile, that wakes it.
    pub(crate) fn take_for_receiver(&self, links: &Links) -> Option<Taken> {
        let mut seen = self.0.load(Ordering::Relaxed);
        // Only before a receiver that is awake, or was woken, lies something.
        while newest_of(seen) < CLOSED {
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, AWAKE),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                // SAFETY: this swap took the list off.
                Ok(_) => return unsafe { in_order(links, seen) },
                Err(now) => seen = now,
            }
        }
        None
    }

    /// True if the receiver sleeps now.
    pub(crate) fn is_asleep(&self) -> bool {
        newest_of(self.0.load(Ordering::Relaxed)) == ASLEEP
    }

    /// Goes to sleep if there is nothing to take; the caller has left its waker before. False if
    /// something came: take it first.
    pub(crate) fn sleep(&self) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            match newest_of(seen) {
                ASLEEP | CLOSED => return true,
                AWAKE => {}
                _ => return false,
            }
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, ASLEEP),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Refuses every token from now on; returns what was still inside.
    pub(crate) fn close(&self, links: &Links) -> Option<Taken> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if newest_of(seen) == CLOSED {
                return None;
            }
            match self.0.compare_exchange_weak(
                seen,
                word(seen >> INDEX_BITS, CLOSED),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                // SAFETY: this swap took the list off.
                Ok(_) => return unsafe { in_order(links, seen) },
                Err(now) => seen = now,
            }
        }
    }

    /// Opens a closed inbox, for a receiver that has not slept yet; tickets go on counting.
    pub(crate) fn open(&self) {
        let seen = self.0.load(Ordering::Relaxed);
        if newest_of(seen) == CLOSED {
            // No one else changes the word of a closed inbox.
            self.0
                .store(word(seen >> INDEX_BITS, AWAKE), Ordering::Release);
        }
    }

    /// Refuses tokens now.
    pub(crate) fn is_closed(&self) -> bool {
        newest_of(self.0.load(Ordering::Acquire)) == CLOSED
    }

    /// How many tokens were ever accepted, modulo 2^40.
    pub(crate) fn ticket(&self) -> u64 {
        self.0.load(Ordering::Acquire) >> INDEX_BITS
    }

    /// How many messages lie between two tickets.
    pub(crate) fn between(earlier: u64, later: u64) -> u64 {
        later.wrapping_sub(earlier) & TICKET_MASK
    }
}

/// Turns the list round: newest first becomes oldest first.
///
/// # Safety
/// The caller has just taken the list that `word` names off an inbox.
unsafe fn in_order(links: &Links, word: u64) -> Option<Taken> {
    let newest = newest_of(word);
    if newest >= CLOSED {
        return None;
    }
    let (mut oldest, mut len, mut next) = (NIL, 0, newest);
    while next != NIL {
        let current = next;
        next = links.next(current);
        links.set_next(current, oldest);
        oldest = current;
        len += 1;
    }
    Some(Taken {
        // SAFETY: the list had taken their tokens in, and the caller's swap took all of them off it.
        chain: unsafe { Chain::from_parts(oldest, newest, len) },
        ticket: word >> INDEX_BITS,
    })
}
