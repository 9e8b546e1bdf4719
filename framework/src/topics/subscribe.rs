//! Subscribing while the system runs: handles of subsystems, and streams.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use mycelia_core::{Pattern, PatternError};

use super::Topics;
use super::pattern::{Subscriber, SubscriberKey};
use super::recipient::Untyped;
use super::stream::{TopicStream, stream};
use crate::directory::Mounted;
use crate::route::split_topic;
use crate::runtime::shared::Shared;
use crate::send::handle::Route;
use crate::words::message::Message;

/// Why a topic was not subscribed to, or its messages are not retained.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The text does not begin with a name and `://`.
    NoName {
        /// The text.
        topic: Box<str>,
    },
    /// What follows the name is no pattern.
    BadPattern {
        /// The text.
        topic: Box<str>,
        /// What is wrong with it; its position counts from after the `://`.
        error: PatternError,
    },
    /// The capacity of a stream must be 1 or more.
    NoCapacity,
    /// The topics `mycelia://…` are the framework's own, and are not retained.
    Reserved,
    /// The subsystem that subscribes has ended.
    Stopped,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscribeError::NoName { topic } => write!(
                f,
                "`{topic}` is no topic; write a name and `://` before the pattern: `orders://placed/{{id}}`"
            ),
            SubscribeError::BadPattern { topic, error } => write!(f, "`{topic}`: {error}"),
            SubscribeError::NoCapacity => {
                write!(
                    f,
                    "a stream has room for one message at least; give it a capacity of 1 or more"
                )
            }
            SubscribeError::Reserved => write!(
                f,
                "the topics `mycelia://…` are the framework's own, and are not retained"
            ),
            SubscribeError::Stopped => write!(f, "the subsystem that subscribes has ended"),
        }
    }
}

impl std::error::Error for SubscribeError {}

/// The name and the pattern of topics.
pub(super) fn parse_topic(topic: &str) -> Result<(&str, Pattern), SubscribeError> {
    let Some((name, pattern)) = split_topic(topic) else {
        return Err(SubscribeError::NoName {
            topic: topic.into(),
        });
    };
    match Pattern::parse(pattern) {
        Ok(pattern) => Ok((name, pattern)),
        Err(error) => Err(SubscribeError::BadPattern {
            topic: topic.into(),
            error,
        }),
    }
}

/// Has what is published on a pattern sent by a handle, until the subsystem `owner` ends. Twice the same is
/// the same as once.
pub(crate) fn subscribe<M: Message<Reply = ()> + Clone>(
    topics: &Topics,
    owner: &Arc<Mounted>,
    topic: &str,
    handle: &Route<M>,
) -> Result<(), SubscribeError> {
    let (name, pattern) = parse_topic(topic)?;
    let parts = Arc::new(handle.parts());
    let removed = topics.table.change(|table| {
        // Under the lock: it says so before its subscriptions are removed.
        if owner.is_gone() {
            return Err(SubscribeError::Stopped);
        }
        let known = table.names.get(name).and_then(|name| name.find(&pattern));
        if known.is_some_and(|known| known.has_handle(owner.number, &parts)) {
            return Ok(None);
        }
        let key = SubscriberKey::new(owner.number, topics.number());
        let subscriber = Subscriber {
            message: TypeId::of::<M>(),
            to: Untyped::Handle(parts),
        };
        Ok(Some(topics.enter(table, (name, &pattern), key, subscriber)))
    });
    removed.map(drop)
}

/// Ends what a subsystem subscribed to on a pattern by [`subscribe`]; false if it did not.
pub(crate) fn unsubscribe(
    topics: &Topics,
    owner: &Mounted,
    topic: &str,
) -> Result<bool, SubscribeError> {
    let (name, pattern) = parse_topic(topic)?;
    let is_meant =
        |one: &super::TopicPattern| *one.name == *name && one.pattern.same_shape(&pattern);
    Ok(topics.remove_where(owner.number, true, is_meant) > 0)
}

/// A stream of what is published on a pattern, from the `last` messages on that are retained.
pub(crate) fn listen<M: Message<Reply = ()> + Clone>(
    shared: &Arc<Shared>,
    topics: &Arc<Topics>,
    topic: &str,
    capacity: usize,
    last: u32,
) -> Result<TopicStream<M>, SubscribeError> {
    let (name, pattern) = parse_topic(topic)?;
    if capacity == 0 {
        return Err(SubscribeError::NoCapacity);
    }
    // No mount has such a number.
    let owner = topics.number() | 1 << 63;
    let (inlet, open, stream) = stream(topics, owner, topic, capacity);
    let to = Untyped::Stream(Arc::new(inlet), Arc::new(open));
    let (catch_ups, removed) = topics.table.change(|table| {
        let subscriber = Subscriber {
            message: TypeId::of::<M>(),
            to: to.clone(),
        };
        let key = SubscriberKey::new(owner, topics.number());
        let (topic, removed) = topics.enter(table, (name, &pattern), key, subscriber);
        (
            table.catch_ups(&topic, &to, TypeId::of::<M>(), last),
            removed,
        )
    });
    drop((removed, to));
    catch_ups.into_iter().for_each(|catch_up| catch_up(shared));
    Ok(stream)
}
