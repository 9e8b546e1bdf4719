//! Copies for which there was no room at once: their publisher waits for all of them together.

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use mycelia_core::Spans;

use super::pattern::TopicList;
use super::recipient::Topic;
use crate::base::clock::Due;
use crate::books::topics::{CopyEnd, OpenCopies, Published};
use crate::runtime::shared::Shared;
use crate::send::{Attempt, Failed, until_room};
use crate::words::message::Message;

/// A copy that waits for room.
pub(super) struct LateCopy<M: Message> {
    copy: M,
    to: LateTo<M>,
    open: OpenCopies,
}

/// Where it is to go.
struct LateTo<M: Message> {
    list: Arc<TopicList<M>>,
    /// Which of the list's.
    at: usize,
    spans: Spans,
    path: Box<str>,
    query: Option<Box<str>>,
}

impl<M: Message> LateCopy<M> {
    #[cold]
    pub(super) fn new(
        list: &Arc<TopicList<M>>,
        at: usize,
        spans: Spans,
        path: &str,
        query: Option<&str>,
        copy: M,
        open: OpenCopies,
    ) -> Self {
        let to = LateTo {
            list: list.clone(),
            at,
            spans,
            path: path.into(),
            query: query.map(Into::into),
        };
        LateCopy { copy, to, open }
    }
}

/// One more try for a copy.
struct CopyAttempt<'t, M: Message> {
    shared: Arc<Shared>,
    to: &'t LateTo<M>,
    due: Due,
}

impl<M: Message> Attempt<M> for CopyAttempt<'_, M> {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn due(&mut self) -> Option<Due> {
        Some(self.due)
    }

    fn attempt(&mut self, copy: &mut Option<M>) -> Result<(), Failed> {
        let LateTo {
            list,
            at,
            spans,
            path,
            query,
        } = self.to;
        let captures = spans.of(path);
        let topic = Topic {
            captures: &captures,
            query: query.as_deref(),
        };
        list.recipients[*at].send(&self.shared, topic, copy)
    }
}

/// Waits until all have ended. They wait side by side: none for the room of another.
pub(super) async fn wait_for_all<M: Message>(
    shared: &Arc<Shared>,
    late: Vec<LateCopy<M>>,
    due: Due,
    published: &mut Published,
) {
    let mut all = FuturesUnordered::new();
    for LateCopy { copy, to, mut open } in late {
        let shared = shared.clone();
        all.push(async move {
            let attempt = CopyAttempt {
                shared: shared.clone(),
                to: &to,
                due,
            };
            let end = match until_room(copy, attempt).await {
                Ok(()) => CopyEnd::Accepted,
                Err(undelivered) => to.list.recipients[to.at].end_undelivered(&shared, undelivered),
            };
            open.end(end);
            end
        });
    }
    while let Some(end) = all.next().await {
        published.count(end);
    }
}
