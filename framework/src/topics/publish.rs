//! Publishing: a copy for each who subscribes. First all who have room, then those who have not.

use std::sync::Arc;

use mycelia_core::PathRef;

use super::late::{LateCopy, wait_for_all};
use super::matched::Matched;
use super::recipient::Topic;
use super::{OWN, Topics};
use crate::base::clock::Due;
use crate::base::sim::{self, Point};
use crate::base::sync::Ordering;
use crate::base::user_code::{Beside, discard};
use crate::books::topics::{CopyEnd, OpenCopies, Published};
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::path::AsPath;
use crate::words::error::{SendError, Undelivered};
use crate::words::message::Message;

/// Publishes a message, and waits for those who have no room, until it is due.
pub(crate) async fn publish<M: Message<Reply = ()> + Clone, P: AsPath>(
    shared: &Arc<Shared>,
    topics: &Arc<Topics>,
    path: P,
    message: M,
    due: Due,
) -> Result<Published, Undelivered<M>> {
    let mut late = Vec::new();
    let mut published = to_all(shared, topics, &path, message, Some(&mut late), false)?;
    if !late.is_empty() {
        wait_for_all(shared, late, due, &mut published).await;
    }
    Ok(published)
}

/// Publishes a message to those who have room.
pub(crate) fn try_publish<M: Message<Reply = ()> + Clone, P: AsPath>(
    shared: &Arc<Shared>,
    topics: &Arc<Topics>,
    path: P,
    message: M,
) -> Result<Published, Undelivered<M>> {
    to_all(shared, topics, &path, message, None, false)
}

/// Publishes on a topic of the framework's own.
pub(super) fn publish_own<M: Message<Reply = ()> + Clone>(
    shared: &Arc<Shared>,
    topics: &Arc<Topics>,
    path: &str,
    message: M,
) {
    let _ = to_all(shared, topics, &path, message, None, true);
}

/// Sends a copy to all who have room. The others', if their policy is to wait, go to `late`.
fn to_all<M: Message<Reply = ()> + Clone, P: AsPath>(
    shared: &Arc<Shared>,
    topics: &Arc<Topics>,
    path: &P,
    message: M,
    late: Option<&mut Vec<LateCopy<M>>>,
    is_own: bool,
) -> Result<Published, Undelivered<M>> {
    let mut held = Beside(Some(message));
    let mut refuse = |reason| match held.0.take() {
        Some(message) => Undelivered::new(reason, message),
        None => unreachable!("the message has not been sent yet"),
    };
    if shared.is_closed_to(shared.current()) {
        return Err(refuse(SendError::Stopped));
    }
    let text = path.as_text();
    let known = text.and_then(|text| Some((text, topics.remembered::<M>(text)?)));
    let (text, matched) = match known {
        Some(known) => known,
        None => {
            let path = path.as_path();
            let path = path.map_err(|error| refuse(SendError::BadPath(error)))?;
            (path.as_str(), topics.look_up::<M>(&path))
        }
    };
    if !is_own
        && text
            .strip_prefix(OWN)
            .is_some_and(|rest| rest.starts_with("://"))
    {
        return Err(refuse(SendError::Reserved { name: OWN.into() }));
    }
    let Some(message) = held.0.take() else {
        unreachable!("the message has not been sent yet");
    };
    let matched = match matched.retained.is_empty() {
        true => matched,
        false => retain_first(topics, text, &matched, &message),
    };
    if matched.total == 0 && !is_own {
        topics.unheard.fetch_add(1, Ordering::Relaxed);
    }
    Ok(send_copies(shared, text, matched, message, late))
}

/// Retains the message where it is to be; who subscribes at that moment.
#[cold]
fn retain_first<M: Message + Clone>(
    topics: &Topics,
    text: &str,
    matched: &Arc<Matched<M>>,
    message: &M,
) -> Arc<Matched<M>> {
    let mut items: Vec<_> = (matched.retained.iter())
        .map(|retained| (retained, Some(retained.item(text, message.clone()))))
        .collect();
    let Ok(path) = PathRef::parse(text) else {
        return matched.clone();
    };
    let mut forgotten = Vec::new();
    let matched = topics.matched_now(&path, |matched: &Matched<M>| {
        for retained in &matched.retained {
            let own = items.iter_mut().find(|(one, _)| Arc::ptr_eq(one, retained));
            if let Some(item) = own.and_then(|(_, item)| item.take()) {
                forgotten.append(&mut retained.keep(item));
            }
        }
    });
    forgotten.into_iter().for_each(discard);
    matched
}

fn send_copies<M: Message<Reply = ()> + Clone>(
    shared: &Arc<Shared>,
    text: &str,
    matched: Arc<Matched<M>>,
    message: M,
    mut late: Option<&mut Vec<LateCopy<M>>>,
) -> Published {
    sim::preempt(Point::Push);
    let mut published = Published::default();
    let mut held = Beside(Some(message));
    let mut left = matched.total;
    for (list, spans) in &matched.lists {
        let captures = spans.of(text);
        let topic = Topic {
            captures: &captures,
            query: matched.query(text),
        };
        let mut open = OpenCopies::begin(&list.counts, list.recipients.len() as u64);
        for (at, to) in list.recipients.iter().enumerate() {
            left = left.saturating_sub(1);
            // The last one gets the message itself.
            let copy = match left {
                0 => held.0.take(),
                _ => held.0.clone(),
            };
            let mut copy = Beside(copy);
            let end = match to.send(shared, topic, &mut copy.0) {
                Ok(()) => CopyEnd::Accepted,
                Err(failed @ Failed::Full(..)) if late.is_some() => {
                    if let (Some(late), Some(copy)) = (&mut late, copy.0.take()) {
                        drop(failed);
                        let open = open.part();
                        late.push(LateCopy::new(
                            list,
                            at,
                            *spans,
                            text,
                            matched.query(text),
                            copy,
                            open,
                        ));
                    }
                    continue;
                }
                Err(failed) => to.end(shared, failed, copy.0.take()),
            };
            open.end(end);
        }
        let ended = open.ended();
        published.matched = published.matched.saturating_add(ended.matched);
        published.accepted = published.accepted.saturating_add(ended.accepted);
        published.missed = published.missed.saturating_add(ended.missed);
        published.closed = published.closed.saturating_add(ended.closed);
    }
    published
}
