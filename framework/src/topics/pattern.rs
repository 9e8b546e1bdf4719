//! One pattern of topics, with those who subscribe to it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use mycelia_core::{PathRef, Pattern, Router, Segment, Spans};

use super::recipient::{Recipient, Untyped};
use crate::base::sync::{Mutex, lock};
use crate::books::topics::TopicCounts;
use crate::send::handle::HandleParts;
use crate::words::message::Message;

/// Whose subscription it is, and its number: in the order of the mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubscriberKey {
    pub(super) owner: u64,
    number: u64,
}

impl SubscriberKey {
    pub(super) fn new(owner: u64, number: u64) -> Self {
        SubscriberKey { owner, number }
    }

    fn all_of(owner: u64) -> RangeInclusive<Self> {
        Self::new(owner, 0)..=Self::new(owner, u64::MAX)
    }
}

/// One who subscribes, to messages of one type.
pub(super) struct Subscriber {
    pub(super) message: TypeId,
    pub(super) to: Untyped,
}

/// A pattern, with its subscribers.
pub(super) struct TopicPattern {
    pub(super) name: Box<str>,
    pub(super) pattern: Pattern,
    /// The name and the pattern.
    pub(super) text: Arc<str>,
    /// Of this pattern alone.
    router: Router<()>,
    pub(super) counts: Arc<TopicCounts>,
    /// Changed only while the table is locked for a change, but for the lists.
    subscribers: Mutex<Subscribers>,
}

#[derive(Default)]
struct Subscribers {
    all: BTreeMap<SubscriberKey, Subscriber>,
    /// By the type of the message, an `Arc<TopicList<M>>` made of those.
    lists: Vec<(TypeId, Arc<dyn Any + Send + Sync>)>,
}

/// Those who get copies of an `M` that is published on a pattern.
pub(super) struct TopicList<M: Message> {
    pub(super) counts: Arc<TopicCounts>,
    pub(super) recipients: Box<[Recipient<M>]>,
}

/// What was taken out of a pattern: to be dropped when nothing is locked.
#[expect(dead_code, reason = "it is there to be dropped")]
pub(super) struct Removed(Vec<Subscriber>, Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl Removed {
    /// How many subscribers.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl TopicPattern {
    pub(super) fn new(name: &str, pattern: Pattern) -> Self {
        let mut router = Router::new();
        // The first can't be ambiguous.
        let _ = router.insert(pattern.clone(), ());
        TopicPattern {
            name: name.into(),
            text: format!("{name}://{pattern}").into(),
            pattern,
            router,
            counts: Arc::default(),
            subscribers: Mutex::default(),
        }
    }

    /// Where the captures are, if the path meets the pattern.
    pub(super) fn meets(&self, path: &PathRef<'_>) -> Option<Spans> {
        Some(self.router.find(path)?.captures.spans())
    }

    /// What is out of date from now on.
    pub(super) fn insert(&self, key: SubscriberKey, subscriber: Subscriber) -> Removed {
        let mut subscribers = lock(&self.subscribers);
        subscribers.all.insert(key, subscriber);
        Removed(Vec::new(), std::mem::take(&mut subscribers.lists))
    }

    /// True if the mount subscribes there by that handle already.
    pub(super) fn has_handle<M: Message>(&self, owner: u64, to: &HandleParts<M>) -> bool {
        let subscribers = lock(&self.subscribers);
        let mut own = subscribers.all.range(SubscriberKey::all_of(owner));
        own.any(|(_, one)| match &one.to {
            Untyped::Handle(parts) => {
                (parts.downcast_ref::<HandleParts<M>>()).is_some_and(|parts| parts.is_same(to))
            }
            _ => false,
        })
    }

    /// Removes those of a mount, or only those by handles.
    pub(super) fn remove(&self, owner: u64, only_handles: bool) -> Removed {
        let mut subscribers = lock(&self.subscribers);
        let is_meant = |one: &Subscriber| !only_handles || matches!(one.to, Untyped::Handle(_));
        let keys: Vec<_> = (subscribers.all.range(SubscriberKey::all_of(owner)))
            .filter(|(_, one)| is_meant(one))
            .map(|(key, _)| *key)
            .collect();
        let those = keys.iter().filter_map(|key| subscribers.all.remove(key));
        let those = those.collect();
        Removed(those, std::mem::take(&mut subscribers.lists))
    }

    /// True if the mount subscribes to it.
    pub(super) fn has(&self, owner: u64) -> bool {
        let subscribers = lock(&self.subscribers);
        let mut own = subscribers.all.range(SubscriberKey::all_of(owner));
        own.next().is_some()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.subscribers).all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those who get copies of an `M`.
    pub(super) fn list<M: Message>(&self) -> Arc<TopicList<M>> {
        let message = TypeId::of::<M>();
        let mut subscribers = lock(&self.subscribers);
        let known = subscribers.lists.iter().find(|(id, _)| *id == message);
        if let Some(list) = known.and_then(|(_, list)| list.clone().downcast().ok()) {
            return list;
        }
        let of_type = (subscribers.all.values()).filter(|one| one.message == message);
        let list = Arc::new(TopicList {
            counts: self.counts.clone(),
            recipients: of_type.filter_map(|one| one.to.typed::<M>()).collect(),
        });
        subscribers.lists.push((message, list.clone()));
        list
    }
}

/// The segments of a pattern without captures.
pub(super) fn exact_key(pattern: &Pattern) -> Option<Box<[Box<str>]>> {
    let text = |segment: &Segment| match segment {
        Segment::Literal(text) => Some(text.as_str().into()),
        _ => None,
    };
    pattern.segments().iter().map(text).collect()
}

/// The segments of a path.
pub(super) fn key_of(path: &PathRef<'_>) -> Box<[Box<str>]> {
    path.segments().map(|text| (*text).into()).collect()
}
