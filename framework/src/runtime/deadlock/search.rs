//! The search for a circle: breadth first, visiting each node once, without recursion.

use std::num::NonZeroU64;
use std::ops::Bound;

use rustc_hash::FxHashMap;

use super::{For, WaitGraph, WaitId};
use crate::base::sync::lock;
use crate::mailbox::MailboxId;

/// The most edges that are copied out of a node under one lock.
const AT_ONCE: usize = 256;

/// How the search reached a node.
#[derive(Clone, Copy)]
struct Step {
    /// The wait that leads here; its handler is the node before.
    by: WaitId,
    /// The root of the tree whose end waits for the end of this node.
    through: Option<MailboxId>,
}

/// A circle that was found.
struct Circle {
    /// The subsystems. The one whose wait closes the circle comes first and last.
    mailboxes: Vec<MailboxId>,
    /// The waits, each with the subsystem that it leads to.
    steps: Vec<(WaitId, MailboxId)>,
}

impl WaitGraph {
    /// Looks for a circle that the wait `own` for `what` closes. If there is one, ends the wait and returns the
    /// circle.
    ///
    /// Waits begin and end during the search, so the circle may never have existed as a whole. So each wait in it
    /// is checked once more. Numbers are not reused: the waits that still exist all existed at the moment when
    /// the search ended.
    pub(super) fn refusal(&self, own: WaitId, what: &For) -> Option<Vec<MailboxId>> {
        loop {
            let Circle { mailboxes, steps } = self.circle(own, what)?;
            let _refusing = lock(&self.refusing);
            if steps.iter().all(|(wait, to)| self.has(*wait, *to)) {
                self.end(own);
                return Some(mailboxes);
            }
        }
    }

    /// A path from what `own` waits for back to its handler.
    fn circle(&self, own: WaitId, what: &For) -> Option<Circle> {
        let mut steps: FxHashMap<MailboxId, Step> = FxHashMap::default();
        let mut queue: Vec<MailboxId> = Vec::new();
        let mut follow = |by: WaitId, what: &For, queue: &mut Vec<MailboxId>| {
            let mut is_closed = false;
            what.each(|mailbox, through| {
                is_closed |= mailbox == own.who;
                steps.entry(mailbox).or_insert_with(|| {
                    queue.push(mailbox);
                    Step { by, through }
                });
            });
            is_closed
        };
        let mut is_closed = follow(own, what, &mut queue);
        let (mut next, mut edges) = (0, Vec::new());
        while !is_closed {
            let mailbox = *queue.get(next)?;
            next += 1;
            let mut after = None;
            loop {
                after = self.copy_edges(mailbox, after, &mut edges);
                for (id, what) in edges.drain(..) {
                    is_closed |= follow(id, &what, &mut queue);
                }
                if after.is_none() || is_closed {
                    break;
                }
            }
        }
        // Walk the path from its end to its beginning.
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
            mailboxes: circle,
            steps: waits,
        })
    }

    /// Copies up to [`AT_ONCE`] edges of a node, those with serial numbers above `after`. If there are more,
    /// returns the serial number to go on after.
    fn copy_edges(
        &self,
        mailbox: MailboxId,
        after: Option<NonZeroU64>,
        edges: &mut Vec<(WaitId, For)>,
    ) -> Option<NonZeroU64> {
        let nodes = lock(&self.shard(mailbox).nodes);
        if let Some((id, edge)) = &nodes.sole
            && id.who == mailbox
            && after.is_none()
        {
            edges.push((*id, edge.what.clone()));
        }
        let node = nodes.by_mailbox.get(&mailbox)?;
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
                who: mailbox,
            };
            edges.push((id, edge.what.clone()));
        }
        None
    }
}
