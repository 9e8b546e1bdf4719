//! Topics: one message to all who subscribe. `publish → `**`topics`**` → send, once for each`
//!
//! The [`Topics`] of a system are a table of patterns, each with its subscribers. The registry enters what
//! subsystems subscribe to when it mounts them, and removes it when they go; others enter theirs themselves.
//! A publisher remembers on its thread which patterns a path meets, and looks again when the table's
//! version is another: a publish to a path that was published to before takes no lock and allocates nothing.
//! Every copy goes the way of any message ([`publish`]): its receiver's room, policy, priority and account
//! are what they are for a `tell`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod stream;
mod recipient;
mod pattern;
mod subscribe;
mod retain;
mod matched;
mod late;
mod publish;
mod own;

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mycelia_core::{PathRef, Pattern};
use rustc_hash::FxHashMap;

#[cfg_attr(not(feature = "test"), allow(unused_imports))]
pub(crate) use matched::{REMEMBERED, ThreadTopics};
pub(crate) use own::lead_own_topics;
pub(crate) use publish::{publish, try_publish};
pub use stream::TopicStream;
pub use subscribe::SubscribeError;
pub(crate) use subscribe::{listen, subscribe, unsubscribe};

use crate::base::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::base::versioned::Versioned;
use crate::books::topics::{TopicLedger, TopicSnapshot, TopicsSnapshot};
use crate::directory::Mounted;
use pattern::{Removed, Subscriber, SubscriberKey, TopicPattern};
use recipient::Untyped;
use retain::AnyRetained;
pub(crate) use retain::{CatchUp, retain};

/// The name of the framework's own topics: `mycelia://…`.
const OWN: &str = "mycelia";

/// Who subscribes to what, in one system.
pub(crate) struct Topics {
    table: Versioned<Table>,
    /// Numbers subscriptions.
    next: AtomicU64,
    unheard: AtomicU64,
    /// The accounts of patterns that have no subscriber any more.
    gone: Mutex<TopicLedger>,
    /// Somebody subscribes to the framework's own topics.
    own_wanted: Arc<AtomicBool>,
}

#[derive(Default)]
struct Table {
    names: FxHashMap<Box<str>, Name>,
    /// By the number of the mount that subscribed: where its subscriptions are.
    of_owner: FxHashMap<u64, Vec<Arc<TopicPattern>>>,
}

/// The patterns of one name.
#[derive(Default)]
struct Name {
    /// Those without captures, by their segments: a name may have very many.
    exact: FxHashMap<Box<[Box<str>]>, Arc<TopicPattern>>,
    others: Vec<Arc<TopicPattern>>,
    retained: Vec<Arc<dyn AnyRetained>>,
}

/// What is dropped when the table is no longer locked: it may hold the last of what is the user's.
type Garbage = Vec<Arc<TopicPattern>>;

impl Name {
    fn find(&self, pattern: &Pattern) -> Option<&Arc<TopicPattern>> {
        match pattern::exact_key(pattern) {
            Some(key) => self.exact.get(&key),
            None => (self.others.iter()).find(|one| one.pattern.same_shape(pattern)),
        }
    }

    fn insert(&mut self, topic: Arc<TopicPattern>) {
        match pattern::exact_key(&topic.pattern) {
            Some(key) => drop(self.exact.insert(key, topic)),
            None => self.others.push(topic),
        }
    }

    fn remove(&mut self, topic: &Arc<TopicPattern>) {
        match pattern::exact_key(&topic.pattern) {
            Some(key) => drop(self.exact.remove(&key)),
            None => self.others.retain(|one| !Arc::ptr_eq(one, topic)),
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.others.is_empty() && self.retained.is_empty()
    }

    /// All patterns that a path meets.
    fn met(&self, path: &PathRef<'_>) -> impl Iterator<Item = &Arc<TopicPattern>> {
        let exact = (!self.exact.is_empty()).then(|| self.exact.get(&pattern::key_of(path)));
        exact.flatten().into_iter().chain(&self.others)
    }
}

impl Topics {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Topics {
            table: Versioned::new(Table::default()),
            next: AtomicU64::new(1),
            unheard: AtomicU64::new(0),
            gone: Mutex::default(),
            own_wanted: Arc::default(),
        })
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters what subsystems subscribe to. What is retained for them is to be sent when no lock is held.
    pub(crate) fn mounted(&self, all: &[Arc<Mounted>]) -> Vec<CatchUp> {
        if !all.iter().any(|one| one.map.has_topics()) {
            return Vec::new();
        }
        let (catch_ups, removed) = self.table.change(|table| {
            let (mut catch_ups, mut removed) = (Vec::new(), Vec::new());
            for mounted in all {
                let is_front = mounted.group().is_some();
                let above = mounted.parent.as_ref().and_then(std::sync::Weak::upgrade);
                let is_replica = above.is_some_and(|above| above.group().is_some());
                for (number, route) in mounted.map.routes.iter().enumerate() {
                    let Some(topic) = &route.topic else { continue };
                    let is_out = if topic.each { is_front } else { is_replica };
                    for message in route.messages.iter().filter(|_| !is_out) {
                        let key = SubscriberKey::new(mounted.number, self.number());
                        let to = Untyped::Route(mounted.clone(), number as u16);
                        let subscriber = Subscriber {
                            message: message.id,
                            to: to.clone(),
                        };
                        let pattern = (&*topic.name, &route.pattern);
                        let (entered, old) = self.enter(table, pattern, key, subscriber);
                        removed.push(old);
                        catch_ups.extend(table.catch_ups(&entered, &to, message.id, topic.last));
                    }
                }
            }
            (catch_ups, removed)
        });
        drop(removed);
        catch_ups
    }

    /// Enters a subscriber. The table is locked.
    fn enter(
        &self,
        table: &mut Table,
        (name, pattern): (&str, &Pattern),
        key: SubscriberKey,
        subscriber: Subscriber,
    ) -> (Arc<TopicPattern>, Removed) {
        if name == OWN {
            self.own_wanted.store(true, Ordering::Release);
        }
        let patterns = table.names.entry(name.into()).or_default();
        let topic = match patterns.find(pattern) {
            Some(topic) => topic.clone(),
            None => {
                let topic = Arc::new(TopicPattern::new(name, pattern.clone()));
                patterns.insert(topic.clone());
                topic
            }
        };
        let removed = topic.insert(key, subscriber);
        let of_owner = table.of_owner.entry(key.owner).or_default();
        if !of_owner.iter().any(|one| Arc::ptr_eq(one, &topic)) {
            of_owner.push(topic.clone());
        }
        (topic, removed)
    }

    /// Removes all that a mount, or a stream, subscribed to.
    pub(crate) fn ended(&self, owner: u64) {
        // Looked at first: most subscribe to nothing, and a change has all publishers look again.
        if self
            .table
            .read(|table, _| !table.of_owner.contains_key(&owner))
        {
            return;
        }
        self.remove_where(owner, false, |_| true);
    }

    /// Removes the subscriptions of a mount on the patterns that `is_meant`, or only those by handles; how many
    /// those were.
    fn remove_where(
        &self,
        owner: u64,
        only_handles: bool,
        is_meant: impl Fn(&TopicPattern) -> bool,
    ) -> usize {
        let (count, removed, garbage) = self.table.change(|table| {
            let (mut removed, mut garbage) = (Vec::new(), Garbage::new());
            let of_owner = table.of_owner.remove(&owner).unwrap_or_default();
            let (meant, mut kept): (Vec<_>, Vec<_>) =
                (of_owner.into_iter()).partition(|topic| is_meant(topic));
            let mut count = 0_usize;
            for topic in meant {
                let these = topic.remove(owner, only_handles);
                count = count.saturating_add(these.len());
                removed.push(these);
                if topic.has(owner) {
                    kept.push(topic.clone());
                }
                if topic.is_empty() {
                    lock(&self.gone).include(topic.counts.read());
                    table.forget(&topic);
                    if &*topic.name == OWN && !table.names.contains_key(OWN) {
                        self.own_wanted.store(false, Ordering::Release);
                    }
                    garbage.push(topic);
                }
            }
            if !kept.is_empty() {
                table.of_owner.insert(owner, kept);
            }
            (count, removed, garbage)
        });
        drop(garbage);
        drop(removed);
        count
    }

    /// The system is gone: streams come to their end.
    pub(crate) fn close(&self) {
        let table = self.table.change(std::mem::take);
        drop(table);
    }

    pub(crate) fn snapshot(&self) -> TopicsSnapshot {
        let mut snapshot = TopicsSnapshot {
            unheard: self.unheard.load(Ordering::Relaxed),
            ..TopicsSnapshot::default()
        };
        self.table.read(|table, _| {
            for name in table.names.values() {
                for topic in name.exact.values().chain(&name.others) {
                    snapshot.topics.push(TopicSnapshot {
                        topic: topic.text.clone(),
                        subscribers: topic.len() as u64,
                        ledger: topic.counts.read(),
                    });
                }
            }
            // Within: what goes over to it meanwhile would be in neither.
            snapshot.gone = *lock(&self.gone);
        });
        snapshot.topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        snapshot
    }
}

impl Table {
    fn forget(&mut self, topic: &Arc<TopicPattern>) {
        if let Some(patterns) = self.names.get_mut(&*topic.name) {
            patterns.remove(topic);
            if patterns.is_empty() {
                self.names.remove(&*topic.name);
            }
        }
    }

    /// What is retained for a new subscriber.
    fn catch_ups(
        &self,
        topic: &Arc<TopicPattern>,
        to: &Untyped,
        message: TypeId,
        last: u32,
    ) -> Vec<CatchUp> {
        let patterns = self.names.get(&*topic.name).filter(|_| last > 0);
        let all = patterns.into_iter().flat_map(|patterns| &patterns.retained);
        let of_type = all.filter(|one| one.message() == message);
        of_type
            .filter_map(|one| one.catch_up(topic, to, last as usize))
            .collect()
    }
}
