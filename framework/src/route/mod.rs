//! Routes: which handler takes which message on which path. `send → `**`route`**` → envelope`
//!
//! A [`RouteTable`] is filled once per type of subsystem and then split in two. The [`RouteMap`] serves senders on any
//! thread, and does not name the subsystem's type. The handlers are what the host calls, by number. The envelope
//! connects the two: a [`Pack`] writes message and captures into it as one `Parcel`, beside the handler's number. Only
//! that handler takes the parcel out.

pub(crate) mod extract;
pub(crate) mod handler;
pub(crate) mod macro_support;
pub(crate) mod subsystem;
mod kinds;
mod pack;
mod options;
mod admitted;
mod table;
mod topic;

use std::any::{Any, TypeId};
use std::sync::Arc;

use mycelia_core::{PathRef, Pattern, Router};

use crate::base::user_code::discard;
use crate::books::latency::Book;
use crate::route::handler::Handler;
use crate::route::handler::hooks::Hooks;
use crate::words::admission::Admission;
use crate::words::message::Message;
pub(crate) use admitted::Admissions;
pub(crate) use kinds::Kinds;
pub use options::RouteOptions;
pub(crate) use pack::{Pack, Patience, Post, Posted, Refused};
pub use table::RouteTable;
pub use topic::Subscribing;
pub(crate) use topic::{TopicRoute, split_topic};

/// The routes of a subsystem as its senders see them.
pub(crate) struct RouteMap {
    /// The number of the table, unique in the system; never 0.
    pub(crate) id: u32,
    /// The Rust type of the subsystems.
    pub(crate) type_name: &'static str,
    router: Router<u16>,
    /// Those that paths lead to, and those that topics lead to.
    pub(crate) routes: Vec<RouteEntry>,
    /// The types of the messages that the handlers take, by number.
    messages: Vec<&'static str>,
    /// The latencies of all subsystems of this kind, one book for each thread.
    books: Arc<[Book]>,
}

/// One pattern, with the messages that it takes.
pub(crate) struct RouteEntry {
    pub(crate) pattern: Pattern,
    /// If it is no route that paths lead to, but a topic's.
    pub(crate) topic: Option<TopicRoute>,
    pub(crate) text: Arc<str>,
    pub(crate) messages: Vec<RouteMessage>,
}

pub(crate) struct RouteMessage {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
    /// An `Arc<dyn Pack<M>>` for the message's type `M`.
    pack: Box<dyn Any + Send + Sync>,
    /// Makes the same once more.
    again: fn(&RouteMessage) -> RouteMessage,
    /// Makes the same with an admission before it.
    admitted: fn(&RouteMessage, &Arc<dyn Admission>) -> RouteMessage,
}

/// The methods of a kind of subsystem that the host calls.
pub(crate) struct Handlers<S> {
    /// The handlers, by their numbers.
    pub(crate) handlers: Box<[Box<dyn Handler<S>>]>,
    pub(crate) hooks: Hooks<S>,
}

impl<S> Drop for Handlers<S> {
    fn drop(&mut self) {
        // Each on its own: two panics in one drop would abort the process.
        std::mem::take(&mut self.handlers)
            .into_iter()
            .for_each(discard);
        let Hooks {
            restarting,
            started,
            stopped,
        } = std::mem::take(&mut self.hooks);
        discard(restarting);
        discard(started);
        discard(stopped);
    }
}

impl RouteMap {
    /// The number of the route that a path takes, with its captures.
    #[inline]
    pub(crate) fn find<'p>(&self, path: &PathRef<'p>) -> Option<(u16, mycelia_core::Captures<'p>)> {
        let found = self.router.find(path)?;
        Some((*found.value, found.captures))
    }

    /// True if a topic leads to one of the routes.
    pub(crate) fn has_topics(&self) -> bool {
        self.routes.iter().any(|route| route.topic.is_some())
    }

    /// The pattern and the message type behind the numbers on an envelope.
    pub(crate) fn name(&self, route: u16, handler: u16) -> (Arc<str>, &'static str) {
        let pattern = self.routes.get(usize::from(route));
        let message = self.messages.get(usize::from(handler));
        (
            pattern.map_or("?".into(), |route| route.text.clone()),
            message.copied().unwrap_or("?"),
        )
    }

    /// A book for latencies of these routes.
    pub(crate) fn new_book(&self) -> Book {
        Book::new(self.routes.len())
    }

    /// The book of the subsystems of this kind on one thread.
    #[inline]
    pub(crate) fn book(&self, thread: usize) -> &Book {
        &self.books[thread]
    }

    /// The books of all threads.
    pub(crate) fn books(&self) -> &[Book] {
        &self.books
    }

    /// The route of a pattern. The names of its captures do not matter.
    pub(crate) fn by_pattern(&self, pattern: &str) -> Option<&RouteEntry> {
        // Nearly always it is written as at its handler.
        let same_text =
            |route: &&RouteEntry| route.topic.is_none() && route.pattern.as_str() == pattern;
        if let Some(route) = self.routes.iter().find(same_text) {
            return Some(route);
        }
        let pattern = Pattern::parse(pattern).ok()?;
        self.routes
            .iter()
            .find(|route| route.topic.is_none() && route.pattern.same_shape(&pattern))
    }
}

impl RouteEntry {
    /// Its pattern with the name of the subsystem, or with that of its topic.
    pub(crate) fn path(&self, subsystem: &str) -> Box<str> {
        match self.topic {
            None => format!("{subsystem}://{}", self.pattern).into(),
            Some(_) => (*self.text).into(),
        }
    }

    /// How the route takes an `M`, if it does.
    #[inline]
    pub(crate) fn pack<M: Message>(&self) -> Option<&Arc<dyn Pack<M>>> {
        let id = TypeId::of::<M>();
        let message = self.messages.iter().find(|message| message.id == id)?;
        message.pack.downcast_ref()
    }

    pub(crate) fn takes(&self) -> Box<[&'static str]> {
        self.messages.iter().map(|message| message.name).collect()
    }
}
