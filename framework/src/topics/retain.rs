//! Messages that are retained for those who subscribe later.
//!
//! A publisher retains its message under the table's lock, and gets the list of who subscribes under the same:
//! who enters a subscription takes what is retained under the lock for changes. So a subscriber that asks for
//! the last messages gets each once, as retained or as it is published.

use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::sync::Arc;

use mycelia_core::{PathRef, Pattern, Router, Spans};

use super::pattern::TopicPattern;
use super::recipient::{Recipient, Topic, Untyped};
use super::subscribe::{SubscribeError, parse_topic};
use super::{OWN, Topics};
use crate::base::sync::{AtomicUsize, Mutex, Ordering, lock};
use crate::base::user_code::contain;
use crate::books::topics::{CopyEnd, OpenCopies};
use crate::runtime::shared::Shared;
use crate::words::message::Message;

/// Sends to a new subscriber what was retained for it.
pub(crate) type CatchUp = Box<dyn FnOnce(&Arc<Shared>) + Send>;

/// A message of which copies are made for those who come later.
trait Original<M>: Send + Sync {
    fn copy(&self) -> M;
}

struct Shareable<M>(M);

impl<M: Message + Clone + Sync> Original<M> for Shareable<M> {
    fn copy(&self) -> M {
        self.0.clone()
    }
}

/// A message that is retained, with its path.
pub(super) struct Item<M> {
    path: Arc<str>,
    original: Arc<dyn Original<M>>,
}

impl<M> Clone for Item<M> {
    fn clone(&self) -> Self {
        Item {
            path: self.path.clone(),
            original: self.original.clone(),
        }
    }
}

/// The last messages of type `M` on a pattern.
pub(super) struct Retained<M: Message> {
    pattern: Pattern,
    router: Router<()>,
    most: AtomicUsize,
    kept: Mutex<VecDeque<Item<M>>>,
    make: fn(M) -> Arc<dyn Original<M>>,
}

/// The same, of any type.
pub(super) trait AnyRetained: Send + Sync {
    fn message(&self) -> TypeId;

    fn pattern(&self) -> &Pattern;

    /// Where the captures are, if the path meets the pattern.
    fn meets(&self, path: &PathRef<'_>) -> Option<Spans>;

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;

    /// The last ones for one who subscribes to `topic`, if there are any.
    fn catch_up(&self, topic: &Arc<TopicPattern>, to: &Untyped, last: usize) -> Option<CatchUp>;
}

impl<M: Message> Retained<M> {
    /// A message to be kept here.
    pub(super) fn item(&self, path: &str, message: M) -> Item<M> {
        Item {
            path: path.into(),
            original: (self.make)(message),
        }
    }

    /// Keeps a message; those that are not kept any longer are to be dropped when nothing is locked.
    pub(super) fn keep(&self, item: Item<M>) -> Vec<Item<M>> {
        let mut kept = lock(&self.kept);
        kept.push_back(item);
        self.shorten(&mut kept)
    }

    fn shorten(&self, kept: &mut VecDeque<Item<M>>) -> Vec<Item<M>> {
        let more = kept.len().saturating_sub(self.most.load(Ordering::Relaxed));
        kept.drain(..more).collect()
    }
}

impl<M: Message> AnyRetained for Retained<M> {
    fn message(&self) -> TypeId {
        TypeId::of::<M>()
    }

    fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    fn meets(&self, path: &PathRef<'_>) -> Option<Spans> {
        Some(self.router.find(path)?.captures.spans())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn catch_up(&self, topic: &Arc<TopicPattern>, to: &Untyped, last: usize) -> Option<CatchUp> {
        let to = to.typed::<M>()?;
        let kept = lock(&self.kept);
        let mut items: Vec<_> = (kept.iter().rev())
            .filter_map(|item| {
                let path = PathRef::parse(&item.path).ok()?;
                Some((item.clone(), topic.meets(&path)?))
            })
            .take(last)
            .collect();
        items.reverse();
        let mut open = OpenCopies::begin(&topic.counts, items.len() as u64);
        (!items.is_empty()).then(|| -> CatchUp {
            Box::new(move |shared| {
                for (item, spans) in items {
                    let sent = contain(|| send_again(shared, &to, &item, spans));
                    open.end(sent.unwrap_or(CopyEnd::Missed));
                }
            })
        })
    }
}

fn send_again<M: Message>(
    shared: &Arc<Shared>,
    to: &Recipient<M>,
    item: &Item<M>,
    spans: Spans,
) -> CopyEnd {
    let query = item.path.split_once('?').map(|(_, query)| query);
    let captures = spans.of(&item.path);
    let topic = Topic {
        captures: &captures,
        query,
    };
    let mut copy = Some(item.original.copy());
    match to.send(shared, topic, &mut copy) {
        Ok(()) => CopyEnd::Accepted,
        Err(failed) => to.end(shared, failed, copy),
    }
}

/// Retains the last `most` messages of type `M` on a pattern from now on; with 0 none any more.
pub(crate) fn retain<M: Message + Clone + Sync>(
    topics: &Topics,
    topic: &str,
    most: usize,
) -> Result<(), SubscribeError> {
    let (name, pattern) = parse_topic(topic)?;
    if name == OWN {
        return Err(SubscribeError::Reserved);
    }
    let mut router = Router::new();
    // The first can't be ambiguous.
    let _ = router.insert(pattern.clone(), ());
    let make: fn(M) -> Arc<dyn Original<M>> = |message| Arc::new(Shareable(message));
    let new = Arc::new(Retained {
        pattern,
        router,
        most: AtomicUsize::new(most),
        kept: Mutex::default(),
        make,
    });
    let garbage = topics.table.change(|table| {
        let patterns = table.names.entry(name.into()).or_default();
        let is_it = |one: &Arc<dyn AnyRetained>| {
            one.message() == TypeId::of::<M>() && one.pattern().same_shape(&new.pattern)
        };
        let known = patterns.retained.iter().position(is_it);
        let mut removed = None;
        let mut shortened = Vec::new();
        match known {
            Some(at) if most == 0 => removed = Some(patterns.retained.remove(at)),
            None if most > 0 => patterns.retained.push(new),
            Some(at) => {
                let known = patterns.retained[at].clone().as_any();
                if let Ok(known) = known.downcast::<Retained<M>>() {
                    known.most.store(most, Ordering::Relaxed);
                    shortened = known.shorten(&mut lock(&known.kept));
                }
            }
            None => {}
        }
        if patterns.is_empty() {
            table.names.remove(name);
        }
        (removed, shortened)
    });
    drop(garbage);
    Ok(())
}
