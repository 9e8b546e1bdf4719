//! The search for a circle: breadth first, each node once, without recursion.

use std::num::NonZeroU64;
use std::ops::Bound;

use rustc_hash::FxHashMap;

use super::{For, WaitId, Waits};
use crate::base::sync::lock;
use crate::mailbox::SeatId;

/// Most edges that are copied out of a node while its lock is held.
const AT_ONCE: usize = 256;

/// How the search came to a node.
#[derive(Clone, Copy)]
struct Step {
    /// The wait, whose handler is the node before.
    by: WaitId,
    /// Whose end waits for this one's.
    through: Option<SeatId>,
}

/// A circle that was found.
struct Circle {
    /// The one that closes it stands first and last.
    seats: Vec<SeatId>,
    /// The waits, each with the one that it leads to.
    steps: Vec<(WaitId, SeatId)>,
}

impl Waits {
    /// Looks for a circle that the wait `own` for `what` closes. If there is one the wait is ended.
    ///
    /// While one way is followed, waits begin and end: what was found may never have existed at one time.
    /// So each wait on the way is looked for once more. Numbers are not given twice: the waits that are
    /// still there were all there when the search ended.
    pub(super) fn refusal(&self, own: WaitId, what: &For) -> Option<Vec<SeatId>> {
        loop {
            let Circle { seats, steps } = self.circle(own, what)?;
            let _refusing = lock(&self.refusing);
            if steps.iter().all(|(wait, to)| self.has(*wait, *to)) {
                self.end(own);
                return Some(seats);
            }
        }
    }

    /// A way from what `own` waits for back to it.
    fn circle(&self, own: WaitId, what: &For) -> Option<Circle> {
        let mut steps: FxHashMap<SeatId, Step> = FxHashMap::default();
        let mut queue: Vec<SeatId> = Vec::new();
        let mut follow = |by: WaitId, what: &For, queue: &mut Vec<SeatId>| {
            let mut is_closed = false;
            what.each(|seat, through| {
                is_closed |= seat == own.who;
                steps.entry(seat).or_insert_with(|| {
                    queue.push(seat);
                    Step { by, through }
                });
            });
            is_closed
        };
        let mut is_closed = follow(own, what, &mut queue);
        let (mut next, mut edges) = (0, Vec::new());
        while !is_closed {
            let seat = *queue.get(next)?;
            next += 1;
            let mut after = None;
            loop {
                after = self.copy_edges(seat, after, &mut edges);
                for (id, what) in edges.drain(..) {
                    is_closed |= follow(id, &what, &mut queue);
                }
                if after.is_none() || is_closed {
                    break;
                }
            }
        }
        // From the end to the beginning.
        let (mut circle, mut waits) = (vec![own.who], Vec::new());
        let mut at = own.who;
        loop {
            let Step { by, through } = steps[&at];
            waits.push((by, at));
            circle.extend(through);
            circle.push(by.who);
            at = by.who;
            if by == own {
                break;
            }
        }
        circle.reverse();
        Some(Circle {
            seats: circle,
            steps: waits,
        })
    }

    /// Copies the edges of a node, those with higher serial numbers than `after`, up to [`AT_ONCE`]. After
    /// which one it is to go on, if there are more.
    fn copy_edges(
        &self,
        seat: SeatId,
        after: Option<NonZeroU64>,
        edges: &mut Vec<(WaitId, For)>,
    ) -> Option<NonZeroU64> {
        let nodes = lock(&self.shard(seat).nodes);
        if let Some((id, edge)) = &nodes.sole
            && id.who == seat
            && after.is_none()
        {
            edges.push((*id, edge.what.clone()));
        }
        let node = nodes.by_seat.get(&seat)?;
        let (oldest, edge) = &node.oldest;
        let first = (after.is_none()).then_some((oldest, edge));
        let others = (
            after.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        );
        let mut last = None;
        for (serial, edge) in first.into_iter().chain(node.others.range(others)) {
            if edges.len() >= AT_ONCE {
                return last;
            }
            last = Some(*serial);
            let id = WaitId {
                serial: *serial,
                who: seat,
            };
            edges.push((id, edge.what.clone()));
        }
        None
    }
}
