//! The model's own account: what every message came to, as its sender and its handler saw it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mycelia::error::{AskError, Undelivered};
use mycelia::observe::{Ledger, Snapshot};
use mycelia::schedule::Priority;

use super::faults::Faults;
use super::node::{Reply, Work};
use super::tasks::Tasks;

/// What is known of the messages of one simulation.
#[derive(Debug, Default)]
pub(crate) struct Book {
    next: AtomicU64,
    pub(crate) tasks: Tasks,
    pub(crate) faults: Faults,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// By number.
    messages: HashMap<u64, Entry>,
    /// The last number that was begun, of each sender to each receiver, per priority.
    last: HashMap<(Box<str>, u32, Priority), u64>,
    violations: Vec<String>,
    accepted_tells: u64,
    accepted_asks: u64,
    /// Asks whose asker went away before it knew.
    open_asks: u64,
    given_up: u64,
    refused: u64,
    kept: u64,
    /// Blocking handlers whose message came to its end before they began: if they were under way, they failed.
    never_begun: u64,
}

/// What is known of one message.
#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    is_ask: bool,
    /// Its handler blocked; its subsystem may have been ended before it heard how.
    has_blocked: bool,
    end: Option<End>,
}

/// How a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    /// It blocked and returned; its subsystem may have been ended before it heard of that.
    Returned,
    Failed,
    Panicked,
    /// It was dropped before it had ended.
    Cut,
}

/// What all messages of a simulation came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) messages: u64,
    pub(crate) handled: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) expired: u64,
    pub(crate) undeliverable: u64,
    pub(crate) refused: u64,
    pub(crate) restarts: u64,
    /// Asks whose asker went away.
    pub(crate) given_up: u64,
    /// Times that a message was kept for later.
    pub(crate) kept: u64,
    /// Messages of timers that came to a handler.
    pub(crate) fired: u64,
    /// The same of streams.
    pub(crate) items: u64,
    /// Timers and streams that were cancelled.
    pub(crate) cancelled: u64,
    /// Panics of the model's own code.
    pub(crate) panics: u64,
    /// Futures that were forgotten.
    pub(crate) forgotten: u64,
    /// Systems, those that were dropped under load among them.
    pub(crate) systems: u64,
    pub(crate) abandoned: u64,
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.messages += other.messages;
        self.handled += other.handled;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.expired += other.expired;
        self.undeliverable += other.undeliverable;
        self.refused += other.refused;
        self.restarts += other.restarts;
        self.given_up += other.given_up;
        self.kept += other.kept;
        self.fired += other.fired;
        self.items += other.items;
        self.cancelled += other.cancelled;
        self.panics += other.panics;
        self.forgotten += other.forgotten;
        self.systems += other.systems;
        self.abandoned += other.abandoned;
    }
}

impl Book {
    pub(crate) fn new(faults: Faults) -> Self {
        Book {
            faults,
            ..Book::default()
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new message; those of one sender ascend.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A sender knows whether its message was accepted.
    pub(crate) fn told(&self, told: Result<(), Undelivered<Work>>) {
        match told {
            Ok(()) => self.entries().accepted_tells += 1,
            Err(undelivered) => {
                undelivered.into_message().take_back();
                self.entries().refused += 1;
            }
        }
    }

    /// A call unwound to its sender: nothing was sent.
    pub(crate) fn unwound(&self, was_asked: bool) {
        let mut entries = self.entries();
        entries.refused += 1;
        entries.open_asks -= u64::from(was_asked);
    }

    /// A message that was to block a thread has ended, and no handler has begun with it.
    pub(crate) fn never_begun(&self) {
        self.entries().never_begun += 1;
    }

    /// An ask begins; its outcome is to be [noted](Self::asked).
    pub(crate) fn asks(&self) {
        self.entries().open_asks += 1;
    }

    /// An asker goes away; it never knows what became of its message.
    pub(crate) fn gave_up(&self) {
        self.entries().given_up += 1;
    }

    /// An asker knows what became of its message.
    pub(crate) fn asked(&self, number: u64, mut outcome: Result<Reply, AskError<Work>>) {
        if let Ok(reply) = &mut outcome {
            reply.token.defuse();
        }
        if let Err(AskError::Undelivered(undelivered)) = outcome {
            undelivered.into_message().take_back();
            return self.unwound(true);
        }
        let mut entries = self.entries();
        entries.open_asks -= 1;
        entries.accepted_asks += 1;
        let entry = entries.messages.get(&number).copied().unwrap_or_default();
        let end = entry.end;
        let fits = match &outcome {
            Ok(reply) => {
                reply.number == number && matches!(end, Some(End::Finished | End::Returned))
            }
            Err(AskError::Failed(_)) => end == Some(End::Failed),
            Err(AskError::Panicked { .. }) => end == Some(End::Panicked),
            Err(AskError::Dropped { .. } | AskError::Cleared { .. }) => end.is_none(),
            Err(AskError::Unhandled { .. }) => {
                match end {
                    None | Some(End::Cut) => true,
                    // Cut off, with something in its hands whose drop panics.
                    Some(End::Panicked) => entry.has_blocked || self.faults.are_on(),
                    Some(_) => entry.has_blocked,
                }
            }
            Err(_) => true,
        };
        if !fits {
            let violation = format!("the asker of {number} got {outcome:?}; its handler: {end:?}");
            entries.violations.push(violation);
        }
        drop(entries);
    }

    /// A handler begins.
    pub(crate) fn begin<'b>(&'b self, receiver: &str, work: &Work) -> Doing<'b> {
        let mut entries = self.entries();
        let number = work.number;
        let entry = entries.messages.entry(number).or_default();
        entry.is_ask = work.is_ask;
        if let Some(end) = entry.end {
            let violation = format!("{number} is handled again after it {end:?}");
            entries.violations.push(violation);
        }
        // What is kept for later comes out of its turn.
        if !work.deed.is_kept() {
            let key = (receiver.into(), work.sender, work.priority);
            let before = entries.last.insert(key, number).unwrap_or(0);
            if before >= number {
                let sender = work.sender;
                let violation =
                    format!("`{receiver}` handles {number} of sender {sender} after {before}");
                entries.violations.push(violation);
            }
        }
        Doing { book: self, number }
    }

    fn end(&self, number: u64, end: End) {
        if let Some(entry) = self.entries().messages.get_mut(&number) {
            entry.end = Some(end);
        }
    }

    fn violation(&self, entries: &Entries) -> Option<String> {
        let leaked = self.faults.leaked();
        let own = entries.violations.first().cloned();
        own.or_else(|| self.tasks.violation())
            .or_else(|| (leaked > 0).then(|| format!("{leaked} values were never dropped")))
    }

    /// What must not have happened in a system that was dropped, if anything did: it has no ledger any more.
    pub(crate) fn violation_of_one_dropped(&self) -> Option<String> {
        self.violation(&self.entries())
    }

    /// Compares this account with the framework's, after the system has stopped.
    pub(crate) fn compare(&self, end: &Snapshot, restarts: u64) -> Sum {
        let entries = self.entries();
        let ledger = end.total;
        let count = |wanted: &[End], asks: bool| {
            let is_it = |entry: &&Entry| {
                entry.end.is_some_and(|end| wanted.contains(&end)) && (asks || !entry.is_ask)
            };
            entries.messages.values().filter(is_it).count() as u64
        };
        let broken =
            |what: String| panic!("{what}\n{entries:?}\n{end:?}", entries = Brief(&entries));
        if let Some(violation) = self.violation(&entries) {
            broken(violation);
        }
        for ledger in end.subsystems.iter().map(|one| one.ledger).chain([ledger]) {
            if !ledger.closes() || !ledger.is_quiet() {
                broken(format!("the ledger does not close: {ledger:?}"));
            }
        }
        let tasks = self.tasks.counts();
        let tells = entries.accepted_tells + tasks.told;
        let accepted = tells + entries.accepted_asks + tasks.asked;
        // Asks whose asker does not know, and what timers and streams made and no handler began with.
        let open = entries.open_asks + tasks.gone_told + tasks.gone_asked;
        if !(accepted..=accepted + open).contains(&ledger.sent) {
            broken(format!(
                "{accepted} messages, and up to {open} more, were accepted; the ledger says {}",
                ledger.sent
            ));
        }
        let finished = count(&[End::Finished], true);
        let returned = count(&[End::Returned], true);
        if !(finished..=finished + returned).contains(&ledger.handled) {
            broken(format!(
                "{finished} handlers finished, and up to {returned} more; the ledger says {}",
                ledger.handled
            ));
        }
        let failed = count(&[End::Failed, End::Panicked, End::Cut], true);
        let begun = finished + returned + failed;
        let open = entries.never_begun;
        if !(begun..=begun + open).contains(&(ledger.handled + ledger.failed)) {
            broken(format!(
                "{failed} handlers failed, {returned} others or up to {open} more may have; the ledger \
                 says {}",
                ledger.failed
            ));
        }
        let least = tells - count(&[End::Finished, End::Returned], false);
        let dead = tells - count(&[End::Finished], false);
        // A timer that asked makes a dead letter of what failed, if it is there to hear of it.
        let open = tasks.gone_told + tasks.asked;
        if !(least..=dead + open).contains(&end.dead_letters) {
            broken(format!(
                "{least} to {dead} tells, and up to {open} more, were not handled; there are {} dead \
                 letters",
                end.dead_letters
            ));
        }
        let pool = end.pool;
        let acquired = pool.reused + (pool.created - pool.warmed);
        // A forgotten ask may keep its envelope.
        let kept = pool.in_flight;
        let is_home = pool.idle + kept == pool.capacity && acquired == pool.released + kept;
        if kept > self.faults.forgotten() || !is_home {
            broken(format!("envelopes are not at home: {pool:?}"));
        }
        Sum {
            given_up: entries.given_up,
            kept: entries.kept,
            fired: tasks.fired,
            items: tasks.items,
            cancelled: tasks.cancelled,
            panics: self.faults.panics(),
            forgotten: self.faults.forgotten(),
            systems: 1,
            ..sum(&ledger, entries.refused, restarts)
        }
    }
}

fn sum(ledger: &Ledger, refused: u64, restarts: u64) -> Sum {
    Sum {
        messages: ledger.sent,
        handled: ledger.handled,
        failed: ledger.failed,
        dropped: ledger.dropped,
        expired: ledger.expired,
        undeliverable: ledger.undeliverable,
        refused,
        restarts,
        ..Sum::default()
    }
}

struct Brief<'e>(&'e Entries);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Entries {
            accepted_tells,
            accepted_asks,
            open_asks,
            refused,
            kept,
            ..
        } = self.0;
        write!(
            f,
            "the model: {accepted_tells} tells and {accepted_asks} asks accepted, {open_asks} asks \
             open, {refused} refused, {kept} times kept"
        )
    }
}

/// A handler that has begun; one that is dropped was cut off, or panicked.
pub(crate) struct Doing<'b> {
    book: &'b Book,
    number: u64,
}

impl Doing<'_> {
    pub(crate) fn end(self, end: End) {
        self.book.end(self.number, end);
        std::mem::forget(self);
    }

    /// The handler blocks.
    pub(crate) fn blocks(&self) {
        if let Some(entry) = self.book.entries().messages.get_mut(&self.number) {
            entry.has_blocked = true;
        }
    }

    /// The message is kept for later.
    pub(crate) fn keep(self) {
        self.book.entries().kept += 1;
        std::mem::forget(self);
    }
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        let end = match std::thread::panicking() {
            true => End::Panicked,
            false => End::Cut,
        };
        self.book.end(self.number, end);
    }
}
