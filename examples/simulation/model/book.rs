//! The model's own account: what every message came to, as its sender and its handler saw it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mycelia::error::{AskError, Undelivered};
use mycelia::observe::Snapshot;
use mycelia::schedule::Priority;

use super::faults::Faults;
use super::later::Outside;
use super::sum::Sum;
use super::tasks::Tasks;
use super::work::{Reply, Work};

/// What is known of the messages of one simulation.
#[derive(Debug, Default)]
pub(crate) struct Book {
    next: AtomicU64,
    pub(crate) tasks: Tasks,
    pub(crate) faults: Faults,
    pub(crate) outside: Outside,
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
    /// Replies that were taken to be given later.
    later: u64,
    /// Messages of spawned futures that no handler has begun with: who sent them does not know whether they were
    /// accepted.
    open_tells: u64,
    /// Blocking handlers whose message came to its end before they began: if they were under way, they failed.
    never_begun: u64,
}

/// What is known of one message.
#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    is_ask: bool,
    /// Its handler blocked; its subsystem may have been ended before it heard how.
    has_blocked: bool,
    /// Its reply comes later: its subsystem may have ended it before.
    is_later: bool,
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
    /// Its reply came later, and was dropped without an answer.
    Left,
    /// Its reply came from another subsystem, or did not.
    Forwarded,
    /// It was dropped before it had ended.
    Cut,
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
                let answered = [End::Finished, End::Returned, End::Forwarded];
                reply.number == number && end.is_some_and(|end| answered.contains(&end))
            }
            Err(AskError::Failed(_)) => matches!(end, Some(End::Failed | End::Forwarded)),
            Err(AskError::NoReply { .. }) => matches!(end, Some(End::Left | End::Forwarded)),
            Err(AskError::Panicked { .. }) => end == Some(End::Panicked),
            Err(AskError::Dropped { .. } | AskError::Cleared { .. }) => end.is_none(),
            Err(AskError::Unhandled { .. }) => {
                match end {
                    None | Some(End::Cut) => true,
                    // Cut off, with something in its hands whose drop panics.
                    Some(End::Panicked) => entry.has_blocked || self.faults.are_on(),
                    Some(_) => entry.has_blocked || entry.is_later,
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

    /// A spawned future makes a message.
    pub(crate) fn may_tell(&self) {
        self.entries().open_tells += 1;
    }

    /// A handler begins.
    pub(crate) fn begin<'b>(&'b self, receiver: &str, work: &Work) -> Doing<'b> {
        let mut entries = self.entries();
        let number = work.number;
        if work.is_uncertain {
            entries.open_tells -= 1;
            entries.accepted_tells += 1;
        }
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

    pub(crate) fn end(&self, number: u64, end: End) {
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
        let open = entries.open_asks + entries.open_tells + tasks.gone_told + tasks.gone_asked;
        if !(accepted..=accepted + open).contains(&ledger.sent) {
            broken(format!(
                "{accepted} messages, and up to {open} more, were accepted; the ledger says {}",
                ledger.sent
            ));
        }
        let finished = count(&[End::Finished], true);
        // What was told ends well with the drop of its reply, unless its subsystem has ended before.
        let returned = count(&[End::Returned, End::Forwarded], true) + count(&[End::Left], false);
        if !(finished..=finished + returned).contains(&ledger.handled) {
            broken(format!(
                "{finished} handlers finished, and up to {returned} more; the ledger says {}",
                ledger.handled
            ));
        }
        let unanswered = count(&[End::Left], true) - count(&[End::Left], false);
        let failed = unanswered + count(&[End::Failed, End::Panicked, End::Cut], true);
        let begun = finished + returned + failed;
        let open = entries.never_begun;
        if !(begun..=begun + open).contains(&(ledger.handled + ledger.failed)) {
            broken(format!(
                "{failed} handlers failed, {returned} others or up to {open} more may have; the ledger \
                 says {}",
                ledger.failed
            ));
        }
        let well = [End::Finished, End::Returned, End::Left, End::Forwarded];
        let least = tells - count(&well, false);
        let dead = tells - count(&[End::Finished], false);
        // A timer that asked makes a dead letter of what failed, if it is there to hear of it.
        let forwarded = count(&[End::Forwarded], true);
        let open = tasks.gone_told + tasks.asked + unanswered + forwarded + entries.open_tells;
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
            later: entries.later,
            fired: tasks.fired,
            items: tasks.items,
            cancelled: tasks.cancelled,
            panics: self.faults.panics(),
            forgotten: self.faults.forgotten(),
            systems: 1,
            ..Sum::of(&ledger, entries.refused, restarts)
        }
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

    /// Its reply comes later; unless it does, its subsystem ends the message.
    pub(crate) fn defer(self) {
        let mut entries = self.book.entries();
        entries.later += 1;
        if let Some(entry) = entries.messages.get_mut(&self.number) {
            entry.is_later = true;
            entry.end = Some(End::Cut);
        }
        drop(entries);
        std::mem::forget(self);
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
