//! The edges of the graph, grouped by the subsystems whose handlers wait.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU64;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::hopeless::Verdict;
use super::{For, WaitId};
use crate::base::sync::{AtomicUsize, Mutex, lock};
use crate::mailbox::MailboxId;

/// A shard of the graph. Aligned so that it shares no cache line with another.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Shard {
    pub(super) nodes: Mutex<Nodes>,
    /// How many waits the shard has. Raised after a wait was entered, lowered after one was taken out; read
    /// without the lock.
    pub(super) count: AtomicUsize,
}

#[derive(Default)]
pub(super) struct Nodes {
    pub(super) last_serial: u64,
    /// The first wait, nearly always the only one. Entering it and taking it out cost a few instructions.
    pub(super) sole: Option<(WaitId, Edge)>,
    /// The other waits, by the subsystems whose handlers wait.
    pub(super) by_mailbox: FxHashMap<MailboxId, Node>,
}

/// The waits of one handler; at least one.
pub(super) struct Node {
    pub(super) oldest: (NonZeroU64, Edge),
    /// The later waits, by their serial numbers.
    pub(super) others: BTreeMap<NonZeroU64, Edge>,
}

/// A wait.
pub(super) struct Edge {
    pub(super) what: For,
    pub(super) verdict: Option<Arc<Verdict>>,
}

impl Shard {
    /// True if the handler of `mailbox` waits.
    #[cold]
    pub(super) fn is_waiting(&self, mailbox: MailboxId) -> bool {
        lock(&self.nodes).is_waiting(mailbox)
    }
}

impl Nodes {
    #[cold]
    pub(super) fn enter(&mut self, WaitId { serial, who }: WaitId, edge: Edge) {
        match self.by_mailbox.entry(who) {
            Entry::Vacant(free) => {
                free.insert(Node {
                    oldest: (serial, edge),
                    others: BTreeMap::new(),
                });
            }
            Entry::Occupied(node) => drop(node.into_mut().others.insert(serial, edge)),
        }
    }

    #[cold]
    pub(super) fn take(&mut self, id: WaitId) -> Option<Edge> {
        let Entry::Occupied(mut node) = self.by_mailbox.entry(id.who) else {
            return None;
        };
        let Node { oldest, others } = node.get_mut();
        if oldest.0 != id.serial {
            return others.remove(&id.serial);
        }
        Some(match others.pop_first() {
            Some(next) => std::mem::replace(oldest, next).1,
            None => node.remove().oldest.1,
        })
    }

    pub(super) fn is_waiting(&self, mailbox: MailboxId) -> bool {
        let is_sole = (self.sole.as_ref()).is_some_and(|(id, _)| id.who == mailbox);
        is_sole || self.by_mailbox.contains_key(&mailbox)
    }

    pub(super) fn edge(&self, id: WaitId) -> Option<&Edge> {
        if let Some((sole, edge)) = &self.sole
            && *sole == id
        {
            return Some(edge);
        }
        let Node { oldest, others } = self.by_mailbox.get(&id.who)?;
        match oldest.0 == id.serial {
            true => Some(&oldest.1),
            false => others.get(&id.serial),
        }
    }
}
