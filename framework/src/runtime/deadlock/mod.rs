//! The graph of who waits for whom. With it a circle of waits ends with an error, not with a hang.
//!
//! Only a handler can close a circle: while it waits, its subsystem handles nothing else. A handler that must
//! wait enters an edge here. It waits for a *reply*, for *room* in a mailbox, for the *start* of subsystems that
//! it mounts, or for the *end* of those that it unmounts. A circle of these is found when its last edge is
//! entered, and that wait is refused. It may also wait for a free *envelope* or for a *thread* for blocking
//! handlers. Whether such a wait can end depends on the holders of all of them, so the supervisor checks that
//! periodically ([`WaitGraph::deadlocked`]).
//!
//! A lock is held only to look at one node: the edges lie in shards, and a [`search`] copies the edges out node
//! by node.

mod search;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod caller;
pub(crate) mod hopeless;
mod nodes;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::Waker;

use rustc_hash::FxHashSet;

use hopeless::Verdict;
use nodes::{Edge, Shard};

use crate::base::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, fence_after_swap, lock};
use crate::mailbox::MailboxId;

/// What a handler waits for.
#[derive(Debug, Clone)]
pub(crate) enum For {
    Reply(MailboxId),
    /// The same for a blocking handler, which the supervisor can make give up.
    BlockingReply(MailboxId),
    Room(MailboxId),
    /// The start of the subsystems that it mounts.
    Start(Arc<Starting>),
    /// The end of the subsystems that it unmounts, or whose names it needs.
    End(Arc<Tree>),
    Envelope,
    /// A thread for blocking handlers.
    Thread,
}

impl For {
    /// True if the supervisor may find that the wait can't end.
    fn has_verdict(&self) -> bool {
        matches!(
            self,
            For::BlockingReply(_) | For::Room(_) | For::Envelope | For::Thread
        )
    }

    /// True if the wait is not for particular subsystems.
    fn is_undecided(&self) -> bool {
        matches!(self, For::Envelope | For::Thread)
    }

    /// Calls `f` with each subsystem that must go on for the wait to end. The second argument is the root of the
    /// tree that the subsystem is part of, if it is not the root itself.
    fn each(&self, mut f: impl FnMut(MailboxId, Option<MailboxId>)) {
        match self {
            For::Reply(mailbox) | For::BlockingReply(mailbox) | For::Room(mailbox) => {
                f(*mailbox, None)
            }
            For::Start(starting) => {
                let mailboxes: Vec<MailboxId> = lock(&starting.0).iter().copied().collect();
                mailboxes.into_iter().for_each(|mailbox| f(mailbox, None));
            }
            For::End(tree) => {
                for mailbox in &tree.mailboxes {
                    f(*mailbox, tree.root.filter(|root| root != mailbox));
                }
            }
            For::Envelope | For::Thread => {}
        }
    }
}

/// Subsystems that are being mounted and have not started yet.
#[derive(Debug, Default)]
pub(crate) struct Starting(Mutex<FxHashSet<MailboxId>>);

impl Starting {
    /// Adds a subsystem that is about to be started.
    pub(crate) fn add(&self, mailbox: MailboxId) {
        lock(&self.0).insert(mailbox);
    }

    /// Removes a subsystem, which has started.
    pub(crate) fn stands(&self, mailbox: MailboxId) {
        lock(&self.0).remove(&mailbox);
    }
}

/// A subsystem that ends, and all its descendants, which end before it.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The subsystem; `None` if it is only a name for several.
    pub(crate) root: Option<MailboxId>,
    /// Those of the tree that have a host, the root included.
    pub(crate) mailboxes: Vec<MailboxId>,
}

/// The number of shards, each with a lock.
const SHARDS: usize = if cfg!(loom) { 2 } else { 128 };

/// The waits of one system.
pub(crate) struct WaitGraph {
    shards: [Shard; SHARDS],
    /// How many handlers wait for an envelope or a thread. While this is 0, the supervisor need not look.
    undecided: AtomicUsize,
    /// Counts the verdicts; gives each its age.
    verdicts: AtomicU64,
    /// Held while a wait is refused, so that of two waits that close one circle at the same time only one is
    /// refused.
    refusing: Mutex<()>,
}

/// The number of a wait. It is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaitId {
    serial: NonZeroU64,
    pub(crate) who: MailboxId,
}

/// A wait that was begun.
#[derive(Debug)]
pub(crate) struct Wait {
    /// Its number, by which [`WaitGraph::end`] ends it.
    pub(crate) id: WaitId,
    /// `None` if it was known at the start whether the wait can end.
    verdict: Option<Arc<Verdict>>,
}

impl Wait {
    /// Returns true if the wait was found hopeless. Otherwise `waker` is woken when that is found.
    pub(crate) fn is_hopeless(&self, waker: &Waker) -> bool {
        let verdict = self.verdict.as_ref();
        verdict.is_some_and(|verdict| verdict.is_hopeless(waker))
    }

    /// Who waits for whom, once the wait was found hopeless.
    pub(crate) fn cycle(&self) -> Option<Box<str>> {
        self.verdict.as_ref()?.cycle()
    }
}

impl Default for WaitGraph {
    fn default() -> Self {
        WaitGraph {
            shards: std::array::from_fn(|_| Shard::default()),
            undecided: AtomicUsize::new(0),
            verdicts: AtomicU64::new(0),
            refusing: Mutex::new(()),
        }
    }
}

impl std::fmt::Debug for WaitGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WaitGraph")
    }
}

impl WaitGraph {
    /// Begins a wait of the handler of `who`. [`end`](Self::end) ends it.
    ///
    /// The edge is entered first, then a circle is looked for. So if several waits close a circle together, the
    /// last one sees the edges of all others.
    ///
    /// # Errors
    /// Returns the circle that this wait would close, with `who` first and last.
    #[inline]
    pub(crate) fn begin(&self, who: MailboxId, what: For) -> Result<Wait, Vec<MailboxId>> {
        if let For::Reply(whom) = what {
            return self.begin_reply(who, whom);
        }
        let verdict = match what.has_verdict() {
            true => Some(self.new_verdict()),
            false => None,
        };
        self.begin_with(who, what, verdict)
    }

    /// As [`begin`](Self::begin), for a reply: the most frequent wait.
    #[inline]
    pub(crate) fn begin_reply(
        &self,
        who: MailboxId,
        whom: MailboxId,
    ) -> Result<Wait, Vec<MailboxId>> {
        let id = self.enter(who, For::Reply(whom), None);
        let wait = Wait { id, verdict: None };
        // Orders this entry with those of other threads: if two handlers wait for each other, at least one sees
        // the other's wait.
        fence_after_swap();
        // Nearly always: the subsystem waited for waits for nothing itself.
        if !self.is_waiting(whom) {
            return Ok(wait);
        }
        self.checked(wait, &For::Reply(whom))
    }

    /// As [`begin`](Self::begin), with the caller's verdict.
    #[cold]
    fn begin_with(
        &self,
        who: MailboxId,
        what: For,
        verdict: Option<Arc<Verdict>>,
    ) -> Result<Wait, Vec<MailboxId>> {
        if what.is_undecided() {
            self.undecided.fetch_add(1, Ordering::Relaxed);
        }
        let id = self.enter(who, what.clone(), verdict.clone());
        let wait = Wait { id, verdict };
        fence_after_swap();
        match &what {
            For::Room(whom) | For::BlockingReply(whom) if !self.is_waiting(*whom) => Ok(wait),
            For::Envelope | For::Thread => Ok(wait),
            what => self.checked(wait, what),
        }
    }

    /// Begins a wait that ends when the guard is dropped.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) fn guard(
        self: &Arc<Self>,
        who: MailboxId,
        what: For,
    ) -> Result<Guard, Vec<MailboxId>> {
        let wait = self.begin(who, what)?;
        Ok(Guard {
            waits: self.clone(),
            id: wait.id,
        })
    }

    #[cold]
    fn new_verdict(&self) -> Arc<Verdict> {
        Arc::new(Verdict::new(self.verdicts.fetch_add(1, Ordering::Relaxed)))
    }

    #[cold]
    fn checked(&self, wait: Wait, what: &For) -> Result<Wait, Vec<MailboxId>> {
        match self.refusal(wait.id, what) {
            None => Ok(wait),
            Some(circle) => Err(circle),
        }
    }

    #[inline]
    fn shard(&self, mailbox: MailboxId) -> &Shard {
        &self.shards[mailbox as usize % SHARDS]
    }

    #[inline(always)]
    fn enter(&self, who: MailboxId, what: For, verdict: Option<Arc<Verdict>>) -> WaitId {
        let shard = self.shard(who);
        let mut nodes = lock(&shard.nodes);
        // It never overflows: 2^64 waits take centuries.
        let serial = NonZeroU64::MIN.saturating_add(nodes.last_serial);
        nodes.last_serial = serial.get();
        let id = WaitId { serial, who };
        let edge = Edge { what, verdict };
        match &nodes.sole {
            None => nodes.sole = Some((id, edge)),
            Some(_) => nodes.enter(id, edge),
        }
        drop(nodes);
        // Release: a thread that sees the count finds the wait.
        shard.count.fetch_add(1, Ordering::AcqRel);
        id
    }

    /// True if a handler of `mailbox` waits.
    #[inline]
    fn is_waiting(&self, mailbox: MailboxId) -> bool {
        let shard = self.shard(mailbox);
        shard.count.load(Ordering::Acquire) != 0 && shard.is_waiting(mailbox)
    }

    /// True if the wait has not ended and still depends on `to`.
    fn has(&self, id: WaitId, to: MailboxId) -> bool {
        let nodes = lock(&self.shard(id.who).nodes);
        nodes.edge(id).is_some_and(|edge| match &edge.what {
            // Subsystems that have started meanwhile are not waited for any more.
            For::Start(starting) => lock(&starting.0).contains(&to),
            _ => true,
        })
    }

    /// Ends a wait. Does nothing if it has ended before.
    #[inline]
    pub(crate) fn end(&self, id: WaitId) {
        let shard = self.shard(id.who);
        let mut nodes = lock(&shard.nodes);
        let ended = match &nodes.sole {
            Some((sole, _)) if *sole == id => nodes.sole.take().map(|(_, edge)| edge),
            _ => nodes.take(id),
        };
        drop(nodes);
        // Not under the lock: it may hold the last reference to a task's waker.
        if let Some(edge) = ended {
            shard.count.fetch_sub(1, Ordering::Release);
            self.forget(&edge);
        }
    }

    #[inline]
    fn forget(&self, edge: &Edge) {
        if edge.what.is_undecided() {
            self.undecided.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends all waits of a subsystem, because its handler has ended.
    pub(crate) fn end_all(&self, who: MailboxId) {
        let shard = self.shard(who);
        if shard.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut nodes = lock(&shard.nodes);
        let sole = nodes.sole.take_if(|(id, _)| id.who == who);
        let node = nodes.by_mailbox.remove(&who);
        drop(nodes);
        let node = node.map(|node| (node.oldest.1, node.others));
        let (oldest, others) = node.unzip();
        let all = sole.into_iter().map(|(_, edge)| edge).chain(oldest);
        for edge in all.chain(others.into_iter().flat_map(BTreeMap::into_values)) {
            shard.count.fetch_sub(1, Ordering::Release);
            self.forget(&edge);
        }
    }

    /// True if a handler waits for an envelope or for a thread.
    pub(crate) fn any_undecided(&self) -> bool {
        self.undecided.load(Ordering::Relaxed) != 0
    }
}

/// A wait that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    waits: Arc<WaitGraph>,
    id: WaitId,
}

impl Guard {
    /// Makes another guard of the same wait. The wait ends when the first of them is dropped.
    pub(crate) fn again(&self) -> Guard {
        Guard {
            waits: self.waits.clone(),
            id: self.id,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.waits.end(self.id);
    }
}
