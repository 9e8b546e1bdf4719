//! On demand: names that are mounted when they are first sent to. `address → `**`demand`**` → registry`
//!
//! A sender that finds no one under such a name leaves the name here, and waits at the mailbox that the subsystem
//! will have, in the queue of those who wait for room. Here too hosts leave word of how their start went. One
//! message to the registry asks it to look, however much has been left since it last did. Promise: a name that is
//! awaited is mounted, or its senders hear why not.

use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::watch;

use super::mounted::Mounted;
use crate::base::deferred::DeferredWakes;
use crate::base::sync::{AtomicUsize, Map, Mutex, OnceCell, Ordering, RwLock, lock};
use crate::mailbox::{Mailbox, MailboxId};
use crate::route::RouteMap;
use crate::words::error::SendError;
use crate::words::key::Key;

/// What is mounted on demand, and who waits for it.
#[derive(Default)]
pub(crate) struct Demand {
    /// How many patterns there are: all that a system without any looks at.
    count: AtomicUsize,
    patterns: RwLock<Vec<Pattern>>,
    /// Names that were sent to and are not mounted, each with the mailbox where its senders wait.
    awaited: Map<Arc<str>, Arc<Mailbox>>,
    awaiting: AtomicUsize,
    requests: Mutex<Requests>,
    /// Why those were not mounted at whose mailbox senders wait.
    failures: Mutex<Vec<(Weak<Mailbox>, SendError)>>,
    /// Asks the registry to look.
    bell: OnceCell<Box<dyn Fn() + Send + Sync>>,
}

/// Names that are mounted on demand: all of one part more than the prefix.
struct Pattern {
    prefix: Arc<str>,
    map: Arc<RouteMap>,
}

/// What the registry is to look at.
#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) wanted: Vec<Arc<str>>,
    pub(crate) outcomes: Vec<StartOutcome>,
    /// Those that were put away, and have ended.
    pub(crate) ended: Vec<PutAway>,
    is_called: bool,
}

/// One that was put away and has ended; and what is dropped when its name is free, for those who mount under it.
pub(crate) type PutAway = (Arc<Mounted>, watch::Sender<()>);

/// How the start of a subsystem went.
pub(crate) struct StartOutcome {
    pub(crate) mailbox: MailboxId,
    /// The number of its mount.
    pub(crate) number: u64,
    /// `None` in an error: it was ended before it stood.
    pub(crate) how: Result<(), Option<Box<str>>>,
}

/// The part of a name before its last `/`.
pub(crate) fn prefix_of(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(prefix, _)| prefix)
}

impl Demand {
    /// Says how the registry is asked to look.
    pub(crate) fn set_bell(&self, bell: impl Fn() + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(bell));
    }

    /// Names that follow the prefix are mounted on demand from now on.
    pub(crate) fn offer(&self, prefix: Arc<str>, map: Arc<RouteMap>) {
        let mut patterns = self
            .patterns
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        patterns.push(Pattern { prefix, map });
        self.count.store(patterns.len(), Ordering::Release);
    }

    /// The routes of those that are mounted on demand under such a name, if any are.
    pub(crate) fn routes_of(&self, name: &str) -> Option<Arc<RouteMap>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let prefix = prefix_of(name)?;
        let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = patterns.iter();
        let known = known.find(|pattern| *pattern.prefix == *prefix);
        known.map(|pattern| pattern.map.clone())
    }

    /// Has the registry mount a subsystem under a name that is mounted on demand. Where its senders wait.
    pub(crate) fn want(
        &self,
        name: &str,
        id: impl FnOnce() -> MailboxId,
        deferred: &Arc<DeferredWakes>,
    ) -> Arc<Mailbox> {
        if let Some(known) = self.mailbox_of(name) {
            return known;
        }
        let name = Arc::<str>::from(name);
        let mut is_new = false;
        let awaited = self.awaited.entry(name.clone()).or_insert_with(|| {
            is_new = true;
            self.awaiting.fetch_add(1, Ordering::SeqCst);
            Arc::new(Mailbox::new(id(), name.clone(), deferred.clone()))
        });
        let mailbox = awaited.clone();
        drop(awaited);
        if is_new {
            self.call(|requests| requests.wanted.push(name));
        }
        mailbox
    }

    /// A name has become free: who awaits it has it mounted.
    pub(crate) fn want_again(&self, name: &Arc<str>) {
        if self.is_awaited() && self.awaited.contains_key(name) {
            self.call(|requests| requests.wanted.push(name.clone()));
        }
    }

    /// Tells the registry how a start went.
    pub(crate) fn tell(&self, outcome: StartOutcome) {
        self.call(|requests| requests.outcomes.push(outcome));
    }

    /// Tells the registry that one that it has put away has ended.
    pub(crate) fn tell_ended(&self, ended: PutAway) {
        self.call(|requests| requests.ended.push(ended));
    }

    fn call(&self, add: impl FnOnce(&mut Requests)) {
        let mut requests = lock(&self.requests);
        add(&mut requests);
        let was_called = std::mem::replace(&mut requests.is_called, true);
        drop(requests);
        if !was_called && let Some(bell) = self.bell.get() {
            bell();
        }
    }

    /// What the registry is to look at; from now on it is called again.
    pub(crate) fn take(&self) -> Requests {
        std::mem::take(&mut *lock(&self.requests))
    }

    /// True if senders wait for a name.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaiting.load(Ordering::SeqCst) > 0
    }

    /// The mailbox where the senders of a name wait.
    pub(crate) fn mailbox_of(&self, name: &str) -> Option<Arc<Mailbox>> {
        self.awaited.get(name).map(|mailbox| mailbox.clone())
    }

    /// Has the senders of a name wait at another mailbox: that which its subsystem has, or will have.
    pub(crate) fn move_to(&self, name: &str, mailbox: &Arc<Mailbox>) {
        let before = match self.awaited.get_mut(name) {
            Some(mut known) if !Arc::ptr_eq(&known, mailbox) => {
                std::mem::replace(&mut *known, mailbox.clone())
            }
            _ => return,
        };
        // Handles may have kept it since it failed.
        lock(&self.failures).retain(|(one, _)| one.as_ptr() != Arc::as_ptr(mailbox));
        before.recall();
    }

    /// Paths lead to a name: its senders go on.
    pub(crate) fn found(&self, name: &str) {
        if let Some((_, mailbox)) = self.awaited.remove(name) {
            self.awaiting.fetch_sub(1, Ordering::SeqCst);
            mailbox.recall();
        }
    }

    /// A name is not mounted; its senders hear why.
    pub(crate) fn fail(&self, name: &str, why: SendError) {
        let Some((_, mailbox)) = self.awaited.remove(name) else {
            return;
        };
        self.awaiting.fetch_sub(1, Ordering::SeqCst);
        let mut failures = lock(&self.failures);
        failures.retain(|(one, _)| one.strong_count() > 0);
        failures.push((Arc::downgrade(&mailbox), why));
        drop(failures);
        mailbox.recall();
    }

    /// Why the subsystem was not mounted that was to have this mailbox, if that is so.
    pub(crate) fn failure_at(&self, mailbox: &Arc<Mailbox>) -> Option<SendError> {
        let failures = lock(&self.failures);
        let mut of_it = failures.iter();
        let failure = of_it.find(|(one, _)| one.as_ptr() == Arc::as_ptr(mailbox));
        failure.map(|(_, why)| why.clone())
    }

    /// The mailboxes where senders wait for a name.
    pub(crate) fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        match self.is_awaited() {
            true => self.awaited.iter().map(|one| one.clone()).collect(),
            false => Vec::new(),
        }
    }

    /// The registry has gone: no name is mounted any more.
    pub(crate) fn shut(&self) {
        let names: Vec<Arc<str>> = self.awaited.iter().map(|one| one.key().clone()).collect();
        for name in names {
            self.fail(&name, SendError::Stopped);
        }
    }
}

impl Mounted {
    /// Its key, if it was mounted on demand.
    pub(crate) fn key(&self) -> Option<Key> {
        let at = usize::from(self.key_at);
        (at > 0).then(|| Key::new(self.mailbox.name.clone(), at))
    }

    /// True if it was mounted on demand.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.key_at > 0
    }
}
