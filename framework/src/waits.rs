//! Who waits for whom: so that waiting in a circle ends with an error and not with a hang.
//!
//! Only a handler can close a circle: while it waits, its subsystem handles nothing else. A handler
//! that must wait enters an edge here: it waits for a *reply* of a subsystem, for *room* in a
//! subsystem's mailbox, or for a free *envelope*. A circle of the first two is found when its last
//! edge is entered, and that send is refused. Whether a wait for an envelope can end depends on where
//! all the envelopes are; the supervisor looks every so often ([`Waits::deadlocked`]).

use std::sync::Arc;
use std::task::Waker;

use crate::mailbox::SeatId;
use crate::sync::{AtomicU8, Mutex, Ordering, lock};
use crate::user_code;
use crate::waker_slot::WakerSlot;

/// What a handler waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Reply(SeatId),
    Room(SeatId),
    Envelope,
}

/// The waits of one system.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    edges: Mutex<Edges>,
}

#[derive(Debug, Default)]
struct Edges {
    next_id: u64,
    list: Vec<Edge>,
}

#[derive(Debug, Clone)]
struct Edge {
    id: u64,
    who: SeatId,
    what: For,
    /// None for a reply: whether it can come is known at once.
    verdict: Option<Arc<Verdict>>,
}

/// Whether a wait was found hopeless.
#[derive(Debug, Default)]
struct Verdict {
    hopeless: AtomicU8,
    waiter: WakerSlot,
}

/// A wait that was begun.
#[derive(Debug)]
pub(crate) struct Wait {
    /// Its number, by which it is ended.
    pub(crate) id: u64,
    /// None for a reply.
    verdict: Option<Arc<Verdict>>,
}

impl Wait {
    /// True if the wait can't end; else `waker` is woken when that is found.
    pub(crate) fn is_hopeless(&self, waker: &Waker) -> bool {
        let Some(verdict) = &self.verdict else {
            return false;
        };
        verdict.waiter.set(waker);
        verdict.hopeless.load(Ordering::Acquire) != 0
    }
}

impl Waits {
    /// Enters that the handler of `who` waits; the wait ends with [`end`](Self::end).
    ///
    /// # Errors
    /// The circle that this would close, `who` first and last.
    pub(crate) fn begin(&self, who: SeatId, what: For) -> Result<Wait, Vec<SeatId>> {
        let mut edges = lock(&self.edges);
        if let For::Reply(whom) | For::Room(whom) = what
            && let Some(circle) = edges.circle(who, whom)
        {
            return Err(circle);
        }
        let id = edges.next_id;
        edges.next_id += 1;
        let verdict = (what == For::Envelope).then(Arc::default);
        edges.list.push(Edge {
            id,
            who,
            what,
            verdict: verdict.clone(),
        });
        Ok(Wait { id, verdict })
    }

    pub(crate) fn end(&self, id: u64) {
        let mut edges = lock(&self.edges);
        if let Some(at) = edges.list.iter().position(|edge| edge.id == id) {
            edges.list.swap_remove(at);
        }
    }

    /// Who waits for whom, as a text.
    #[cfg(feature = "test")]
    pub(crate) fn list(&self) -> String {
        let edges = lock(&self.edges);
        let texts: Vec<String> = (edges.list.iter())
            .map(|edge| format!("{} for {:?}", edge.who, edge.what))
            .collect();
        texts.join(", ")
    }

    /// True if a handler waits for an envelope.
    pub(crate) fn any_for_envelope(&self) -> bool {
        lock(&self.edges)
            .list
            .iter()
            .any(|edge| edge.what == For::Envelope)
    }

    /// The wait for an envelope that was begun last, if no such wait can ever end: every envelope is
    /// with a subsystem that is itself blocked. `waiting` tells how many envelopes are with a
    /// subsystem.
    pub(crate) fn deadlocked(
        &self,
        in_flight: u64,
        waiting: impl Fn(SeatId) -> u64,
    ) -> Option<Hopeless> {
        let edges = lock(&self.edges);
        let blocked = edges.blocked();
        if blocked.iter().map(|seat| waiting(*seat)).sum::<u64>() < in_flight {
            return None;
        }
        let victim = edges
            .list
            .iter()
            .filter(|edge| edge.what == For::Envelope && blocked.contains(&edge.who))
            .max_by_key(|edge| edge.id)?;
        Some(Hopeless {
            id: victim.id,
            blocked,
            verdict: victim.verdict.clone()?,
        })
    }
}

/// A wait that can't end.
#[derive(Debug)]
pub(crate) struct Hopeless {
    id: u64,
    /// The subsystems that block each other.
    pub(crate) blocked: Vec<SeatId>,
    verdict: Arc<Verdict>,
}

impl PartialEq for Hopeless {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.blocked == other.blocked
    }
}

impl Hopeless {
    /// Ends the wait with an error.
    pub(crate) fn declare(&self) {
        self.verdict.hopeless.store(1, Ordering::Release);
        if let Some(waiter) = self.verdict.waiter.take() {
            user_code::wake(waiter);
        }
    }
}

impl Edges {
    /// The way from `from` by edges to `to`, closed by the new edge `to → from`.
    fn circle(&self, to: SeatId, from: SeatId) -> Option<Vec<SeatId>> {
        if from != to && !self.list.iter().any(|edge| edge.who == from) {
            // Nearly always: the one waited for waits for nobody.
            return None;
        }
        let mut way = vec![to];
        self.walk(to, from, &mut way).then_some(way)
    }

    fn walk(&self, to: SeatId, at: SeatId, way: &mut Vec<SeatId>) -> bool {
        way.push(at);
        if at == to {
            return true;
        }
        for edge in &self.list {
            if edge.who == at
                && let For::Reply(whom) | For::Room(whom) = edge.what
                // `to` is the goal though it stands first.
                && (whom == to || !way.contains(&whom))
                && self.walk(to, whom, way)
            {
                return true;
            }
        }
        way.pop();
        false
    }

    /// The subsystems that can't go on unless an envelope comes free: those that wait for one, and
    /// those that wait for such, directly or not.
    fn blocked(&self) -> Vec<SeatId> {
        let mut blocked: Vec<SeatId> = self.list.iter().map(|edge| edge.who).collect();
        blocked.sort_unstable();
        blocked.dedup();
        loop {
            let before = blocked.len();
            let still = |seat: &SeatId| {
                self.list.iter().any(|edge| {
                    edge.who == *seat
                        && match edge.what {
                            For::Envelope => true,
                            For::Reply(whom) | For::Room(whom) => blocked.contains(&whom),
                        }
                })
            };
            let kept: Vec<SeatId> = blocked.iter().copied().filter(still).collect();
            blocked = kept;
            if blocked.len() == before {
                return blocked;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_asks_is_found_when_its_last_edge_is_entered() {
        let waits = Waits::default();
        let _one = waits.begin(1, For::Reply(2)).unwrap();
        let _two = waits.begin(2, For::Room(3)).unwrap();
        assert_eq!(waits.begin(3, For::Reply(1)).unwrap_err(), [3, 1, 2, 3]);
        assert_eq!(waits.begin(3, For::Reply(3)).unwrap_err(), [3, 3]);
        assert!(waits.begin(3, For::Reply(4)).is_ok());
    }

    #[test]
    fn a_wait_that_ended_closes_no_circle() {
        let waits = Waits::default();
        let one = waits.begin(1, For::Reply(2)).unwrap();
        waits.end(one.id);
        assert!(waits.begin(2, For::Reply(1)).is_ok());
    }

    #[test]
    fn waiting_for_envelopes_is_hopeless_only_if_the_blocked_hold_them_all() {
        let waits = Waits::default();
        let _one = waits.begin(1, For::Envelope).unwrap();
        let _two = waits.begin(2, For::Reply(1)).unwrap();
        let _three = waits.begin(3, For::Reply(9)).unwrap();
        let holds = |seat| match seat {
            1 => 3,
            2 => 2,
            3 => 1,
            _ => 0,
        };
        // One envelope is with 3, which waits for 9, which is free to go on.
        assert!(waits.deadlocked(6, holds).is_none());
        let hopeless = waits.deadlocked(5, holds).unwrap();
        assert_eq!(hopeless.blocked, [1, 2]);
    }
}
