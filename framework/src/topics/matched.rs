//! Who gets the copies of a message on a path, and what a thread remembers of that.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

use mycelia_core::{PathRef, Spans};
use rustc_hash::FxHashMap;

use super::Topics;
use super::pattern::TopicList;
use super::retain::Retained;
use crate::base::user_code::discard;
use crate::words::message::Message;

/// Most paths that a thread remembers of a system's topics.
const PATHS: usize = 1024;

/// Changes of the table after which a thread forgets what is out of date.
const SWEEP: u64 = 64;

/// Who gets the copies of an `M` on a path.
pub(super) struct Matched<M: Message> {
    /// The patterns that the path meets, and where their captures are in its text.
    pub(super) lists: Box<[(Arc<TopicList<M>>, Spans)]>,
    /// How many get one.
    pub(super) total: usize,
    /// Where the message is retained.
    pub(super) retained: Box<[Arc<Retained<M>>]>,
    /// Where the query begins in the path's text.
    pub(super) query_at: Option<usize>,
    /// The table's when this was looked up.
    version: u64,
}

/// What a thread remembers.
pub(crate) struct ThreadTopics {
    /// Tells the system apart: the `Weak` keeps the place from being used again.
    topics: Weak<Topics>,
    /// The table's at the last sweep.
    swept: u64,
    paths: FxHashMap<Box<str>, Vec<Remembered>>,
}

/// What it remembers of a path, for messages of one type.
struct Remembered {
    message: TypeId,
    version: u64,
    matched: Arc<dyn Any + Send + Sync>,
}

thread_local! {
    /// What this thread remembers of each system's topics; nearly always of one.
    pub(crate) static REMEMBERED: RefCell<Vec<ThreadTopics>> = const { RefCell::new(Vec::new()) };
}

impl<M: Message> Matched<M> {
    /// The query of the path that it was looked up for.
    pub(super) fn query<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.get(self.query_at?..)
    }
}

impl Topics {
    /// Who gets the copies of an `M` on a path whose text that is; `None` if this thread does not know, or
    /// what it knows is out of date.
    #[inline]
    pub(super) fn remembered<M: Message>(self: &Arc<Self>, text: &str) -> Option<Arc<Matched<M>>> {
        let version = self.table.version();
        let known = REMEMBERED.try_with(|all| {
            let all = all.borrow();
            let own = (all.iter()).find(|one| one.topics.as_ptr() == Arc::as_ptr(self))?;
            let path = own.paths.get(text)?;
            let known = path.iter().find(|one| one.message == TypeId::of::<M>())?;
            (known.version == version).then(|| known.matched.clone())
        });
        known.ok().flatten()?.downcast().ok()
    }

    /// Looks up who gets the copies of an `M` on a path, and remembers that.
    #[cold]
    pub(super) fn look_up<M: Message>(self: &Arc<Self>, path: &PathRef<'_>) -> Arc<Matched<M>> {
        let matched = Arc::new(
            self.table
                .read(|table, version| self.matched_in(table, version, path)),
        );
        self.remember(
            path.as_str(),
            matched.version,
            TypeId::of::<M>(),
            matched.clone(),
        );
        matched
    }

    fn matched_in<M: Message>(
        &self,
        table: &super::Table,
        version: u64,
        path: &PathRef<'_>,
    ) -> Matched<M> {
        let (mut lists, mut retained) = (Vec::new(), Vec::new());
        if let Some(name) = table.names.get(path.name()) {
            for topic in name.met(path) {
                if let Some(spans) = topic.meets(path) {
                    let list = topic.list::<M>();
                    if !list.recipients.is_empty() {
                        lists.push((list, spans));
                    }
                }
            }
            let all = name.retained.iter().filter(|one| one.meets(path).is_some());
            retained.extend(all.filter_map(|one| one.clone().as_any().downcast().ok()));
        }
        let text = path.as_str().len();
        Matched {
            total: lists.iter().map(|(list, _)| list.recipients.len()).sum(),
            lists: lists.into(),
            retained: retained.into(),
            query_at: path.query().map(|query| text.saturating_sub(query.len())),
            version,
        }
    }

    /// Who gets the copies, while none is added: `keep` is called with that under the table's lock.
    pub(super) fn matched_now<M: Message>(
        &self,
        path: &PathRef<'_>,
        keep: impl FnOnce(&Matched<M>),
    ) -> Arc<Matched<M>> {
        self.table.read(|table, version| {
            let matched = self.matched_in(table, version, path);
            keep(&matched);
            Arc::new(matched)
        })
    }

    fn remember(
        self: &Arc<Self>,
        text: &str,
        version: u64,
        message: TypeId,
        matched: Arc<dyn Any + Send + Sync>,
    ) {
        let new = Remembered {
            message,
            version,
            matched,
        };
        let forgotten = REMEMBERED.try_with(|all| {
            let mut all = all.borrow_mut();
            let mut forgotten = Vec::new();
            let is_own = |one: &ThreadTopics| one.topics.as_ptr() == Arc::as_ptr(self);
            let at = match all.iter().position(is_own) {
                Some(at) => at,
                None => {
                    // Systems that are no more are forgotten when another is met.
                    let dead = all.extract_if(.., |one| one.topics.strong_count() == 0);
                    forgotten.extend(dead.flat_map(|one| one.paths.into_values()));
                    all.push(ThreadTopics {
                        topics: Arc::downgrade(self),
                        swept: version,
                        paths: FxHashMap::default(),
                    });
                    all.len().saturating_sub(1)
                }
            };
            let own = &mut all[at];
            if own.paths.len() >= PATHS && !own.paths.contains_key(text) {
                forgotten.extend(own.paths.drain().map(|(_, path)| path));
            } else if version.wrapping_sub(own.swept) >= SWEEP {
                own.swept = version;
                let is_old = |path: &Vec<Remembered>| path.iter().all(|one| one.version != version);
                let old = own.paths.extract_if(|_, path| is_old(path));
                forgotten.extend(old.map(|(_, path)| path));
            }
            let path = match own.paths.get_mut(text) {
                Some(path) => path,
                None => own.paths.entry(text.into()).or_default(),
            };
            match path.iter_mut().find(|one| one.message == message) {
                Some(known) => forgotten.push(vec![std::mem::replace(known, new)]),
                None => path.push(new),
            }
            forgotten
        });
        // It may have the last of a stream, whose reader is woken.
        discard(forgotten);
    }
}
