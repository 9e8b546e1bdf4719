//! Waits that any subsystem might end: for an envelope, or for a thread for blocking handlers.
//!
//! Such a wait is hopeless if all subsystems that could give something back are blocked themselves. They are
//! found by exclusion: a subsystem that waits for nothing is free, and so is a subsystem that waits only for free
//! ones. The rest are blocked.

use std::sync::Arc;
use std::task::Waker;

use rustc_hash::{FxHashMap, FxHashSet};

use super::nodes::Edge;
use super::{For, WaitGraph, WaitId};
use crate::base::sync::{AtomicU8, Mutex, Ordering, lock};
use crate::base::user_code::{discard, wake};
use crate::base::waker_slot::WakerSlot;
use crate::mailbox::MailboxId;

/// The verdict on a wait: whether it was found hopeless. Shared by the handler that waits and the supervisor.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Grows with the time at which the wait began.
    age: u64,
    /// 1 once the wait was found hopeless. Written by the supervisor, read by the handler when it is polled.
    hopeless: AtomicU8,
    /// The handler's waker. Left by the handler when it is polled, taken by the supervisor to wake it.
    waiter: WakerSlot,
    /// The text that says who waits for whom. Written by the supervisor, read by the handler.
    cycle: Mutex<Option<Box<str>>>,
}

impl Verdict {
    pub(super) fn new(age: u64) -> Self {
        Verdict {
            age,
            hopeless: AtomicU8::new(0),
            waiter: WakerSlot::new(),
            cycle: Mutex::new(None),
        }
    }

    pub(super) fn is_hopeless(&self, waker: &Waker) -> bool {
        self.waiter.set(waker);
        self.hopeless.load(Ordering::Acquire) != 0
    }

    pub(super) fn cycle(&self) -> Option<Box<str>> {
        lock(&self.cycle).clone()
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        // The waker is user code, and this may be the keepers' thread.
        discard(self.waiter.take());
    }
}

/// A wait that can't end.
#[derive(Debug)]
pub(crate) struct Hopeless {
    id: WaitId,
    /// The subsystems that block each other, sorted.
    pub(crate) blocked: Vec<MailboxId>,
    /// If a thread would end it: the path from the subsystem that must give up to one that waits for a thread.
    pub(crate) to_thread: Option<Vec<MailboxId>>,
    /// All waits of the blocked subsystems.
    waits: Vec<WaitId>,
    verdict: Arc<Verdict>,
}

impl PartialEq for Hopeless {
    /// True if it is the same wait, with the same subsystems blocked by the same waits.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.blocked == other.blocked && self.waits == other.waits
    }
}

impl Hopeless {
    /// Sets the text that says who waits for whom.
    pub(crate) fn explain(&self, cycle: Box<str>) {
        *lock(&self.verdict.cycle) = Some(cycle);
    }

    /// Ends the wait with an error.
    pub(crate) fn declare(&self) {
        self.verdict.hopeless.store(1, Ordering::Release);
        if let Some(waiter) = self.verdict.waiter.take() {
            wake(waiter);
        }
    }
}

/// A copy of a wait, for a search without locks.
pub(crate) struct Copied {
    pub(crate) id: WaitId,
    pub(crate) what: For,
    verdict: Option<Arc<Verdict>>,
}

impl Copied {
    fn new(id: WaitId, edge: &Edge) -> Self {
        Copied {
            id,
            what: edge.what.clone(),
            verdict: edge.verdict.clone(),
        }
    }
}

impl WaitGraph {
    /// Copies all waits, one shard after the other.
    pub(crate) fn copied(&self) -> Vec<Copied> {
        let mut all = Vec::new();
        for shard in &self.shards {
            if shard.count.load(Ordering::Acquire) == 0 {
                continue;
            }
            let nodes = lock(&shard.nodes);
            let sole = nodes.sole.as_ref();
            all.extend(sole.map(|(id, edge)| Copied::new(*id, edge)));
            for (who, node) in &nodes.by_mailbox {
                let oldest = (&node.oldest.0, &node.oldest.1);
                for (serial, edge) in std::iter::once(oldest).chain(&node.others) {
                    let (serial, who) = (*serial, *who);
                    all.push(Copied::new(WaitId { serial, who }, edge));
                }
            }
        }
        all.sort_unstable_by_key(|wait| (wait.id.who, wait.id.serial));
        all
    }

    /// Finds a wait that can end only with an error. Of the waits that could be given up, it picks the one that
    /// began last.
    ///
    /// `in_flight` is the number of envelopes in flight, if none is free; `waiting` returns how many of them a
    /// subsystem holds. `holders` are the subsystems whose handlers occupy the threads for blocking handlers, if
    /// none is free.
    pub(crate) fn deadlocked(
        &self,
        in_flight: Option<u64>,
        waiting: impl Fn(MailboxId) -> u64,
        holders: Option<&[MailboxId]>,
    ) -> Option<Hopeless> {
        if in_flight.is_none() && holders.is_none() {
            return None;
        }
        let waits = self.copied();
        let holders: Option<FxHashSet<MailboxId>> =
            holders.map(|all| all.iter().copied().collect());
        if let Some(in_flight) = in_flight {
            let blocked = Exclusion::new(&waits, true, holders.as_ref()).blocked();
            let held: u64 = blocked.iter().map(|mailbox| waiting(*mailbox)).sum();
            let is_one = |wait: &&Copied| matches!(wait.what, For::Envelope);
            if held >= in_flight
                && let Some(hopeless) = hopeless(&waits, &blocked, is_one)
            {
                return Some(hopeless);
            }
        }
        let holders = holders?;
        let blocked = Exclusion::new(&waits, false, Some(&holders)).blocked();
        // A handler that occupies a thread frees it when it gives up.
        let is_one =
            |wait: &&Copied| holders.contains(&wait.id.who) && !matches!(wait.what, For::Thread);
        let mut hopeless = hopeless(&waits, &blocked, is_one)?;
        hopeless.to_thread = to_thread(&waits, &hopeless);
        Some(hopeless)
    }
}

/// Of the waits of blocked subsystems for which `is_one` holds, the one that began last.
fn hopeless(
    waits: &[Copied],
    blocked: &[MailboxId],
    is_one: impl Fn(&&Copied) -> bool,
) -> Option<Hopeless> {
    let of_blocked = || {
        let is_blocked = |wait: &&Copied| blocked.binary_search(&wait.id.who).is_ok();
        waits.iter().filter(is_blocked)
    };
    let in_question = of_blocked().filter(is_one);
    let (id, verdict) = in_question
        .filter_map(|wait| Some((wait.id, wait.verdict.as_ref()?)))
        .max_by_key(|(_, verdict)| verdict.age)?;
    Some(Hopeless {
        id,
        verdict: verdict.clone(),
        blocked: blocked.to_vec(),
        waits: of_blocked().map(|wait| wait.id).collect(),
        to_thread: None,
    })
}

/// Finds the blocked subsystems by exclusion. Takes as many steps as there are waits.
struct Exclusion<'w> {
    nodes: FxHashMap<MailboxId, SearchNode>,
    /// For each subsystem, the subsystems that wait for it.
    waiters: FxHashMap<MailboxId, Vec<MailboxId>>,
    for_thread: Vec<MailboxId>,
    /// The subsystems that occupy the threads, if none is free.
    holders: Option<&'w FxHashSet<MailboxId>>,
    /// True if one of them is free to go on, so that a thread comes free.
    a_thread_comes: bool,
    /// Subsystems that are not blocked, and whose waiters are not updated yet.
    free: Vec<MailboxId>,
}

/// How many of a subsystem's waits are not known to end.
#[derive(Default)]
struct SearchNode {
    /// Waits for subsystems and for envelopes.
    others: usize,
    threads: usize,
}

impl SearchNode {
    fn is_free(&self) -> bool {
        self.others + self.threads == 0
    }
}

impl<'w> Exclusion<'w> {
    fn new(
        waits: &[Copied],
        no_envelope_comes: bool,
        holders: Option<&'w FxHashSet<MailboxId>>,
    ) -> Self {
        let mut nodes: FxHashMap<MailboxId, SearchNode> = FxHashMap::default();
        let mut waiters: FxHashMap<MailboxId, Vec<MailboxId>> = FxHashMap::default();
        let mut for_thread = Vec::new();
        for Copied { id, what, .. } in waits {
            let node = nodes.entry(id.who).or_default();
            match what {
                For::Envelope => node.others += usize::from(no_envelope_comes),
                For::Thread if holders.is_some() => {
                    node.threads += 1;
                    for_thread.push(id.who);
                }
                what => what.each(|mailbox, _| {
                    node.others += 1;
                    waiters.entry(mailbox).or_default().push(id.who);
                }),
            }
        }
        let targets = waiters
            .keys()
            .filter(|mailbox| !nodes.contains_key(mailbox));
        let waiting = nodes.iter().filter(|(_, node)| node.is_free());
        let free = targets.chain(waiting.map(|(mailbox, _)| mailbox));
        Exclusion {
            free: free.copied().collect(),
            nodes,
            waiters,
            for_thread,
            holders,
            a_thread_comes: false,
        }
    }

    /// The subsystems that can't go on unless an envelope or a thread comes free, sorted.
    fn blocked(mut self) -> Vec<MailboxId> {
        for holder in self.holders.into_iter().flatten() {
            self.look_at_holder(*holder);
        }
        while let Some(mailbox) = self.free.pop() {
            for who in self.waiters.remove(&mailbox).unwrap_or_default() {
                let Some(node) = self.nodes.get_mut(&who) else {
                    continue;
                };
                node.others -= 1;
                if node.is_free() {
                    self.free.push(who);
                }
                self.look_at_holder(who);
            }
        }
        let blocked = self.nodes.iter().filter(|(_, node)| !node.is_free());
        let mut blocked: Vec<MailboxId> = blocked.map(|(mailbox, _)| *mailbox).collect();
        blocked.sort_unstable();
        blocked
    }

    /// If `mailbox` occupies a thread and is free to go on, that thread comes free. (Its wait for another thread
    /// is a wait of its next handler, so it does not count.)
    fn look_at_holder(&mut self, mailbox: MailboxId) {
        let goes_on = || (self.nodes.get(&mailbox)).is_none_or(|node| node.others == 0);
        let holds = self
            .holders
            .is_some_and(|holders| holders.contains(&mailbox));
        if self.a_thread_comes || !holds || !goes_on() {
            return;
        }
        self.a_thread_comes = true;
        for who in std::mem::take(&mut self.for_thread) {
            if let Some(node) = self.nodes.get_mut(&who) {
                node.threads -= 1;
                if node.is_free() {
                    self.free.push(who);
                }
            }
        }
    }
}

/// The path from the subsystem that must give up to one that waits for a thread.
fn to_thread(waits: &[Copied], hopeless: &Hopeless) -> Option<Vec<MailboxId>> {
    let (mut way, mut seen) = (vec![hopeless.id.who], FxHashSet::default());
    loop {
        let at = *way.last()?;
        seen.insert(at);
        let first = waits.partition_point(|wait| wait.id.who < at);
        let of_it = || waits[first..].iter().take_while(|wait| wait.id.who == at);
        if of_it().any(|wait| matches!(wait.what, For::Thread)) {
            return Some(way);
        }
        let is_blocked = |mailbox: &MailboxId| hopeless.blocked.binary_search(mailbox).is_ok();
        let mut next = None;
        for wait in of_it() {
            wait.what.each(|mailbox, _| {
                next = next
                    .or(Some(mailbox)
                        .filter(|mailbox| !seen.contains(mailbox) && is_blocked(mailbox)));
            });
        }
        way.push(next?);
    }
}
