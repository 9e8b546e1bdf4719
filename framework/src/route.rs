//! Routes: which handler takes which message on which path. `send → `**`route`**` → envelope`
//!
//! A [`RouteTable`] is filled once per type of subsystem and then split in two: the [`RouteMap`], which
//! knows nothing of the subsystem's type and serves senders on any thread, and the handlers, which the
//! host calls by number. What connects the two is the envelope: a [`Pack`] writes message and captures
//! into it as one `Parcel` together with the handler's number; only that handler takes such a parcel
//! out.

use std::any::{Any, TypeId, type_name};
use std::sync::Arc;
use std::time::Duration;

use mycelia_core::{PathRef, Pattern, Router};
use once_cell::sync::OnceCell;

use crate::clock::{Clock, Due, Stamp};
use crate::envelope::{Envelope, Parcel, Stored};
use crate::error::MountError;
use crate::extract::{Address, Extract, States};
use crate::handler::{AsyncHandler, Handler, SyncHandler};
use crate::latency::Book;
use crate::local::Local;
use crate::mailbox::Seat;
use crate::message::{IntoReply, Message};
use crate::pool::Pool;
use crate::priority::Priority;

/// The routes of a subsystem while they are being entered.
///
/// `#[routes]` fills it; by hand it reads
/// ```
/// use mycelia::prelude::*;
/// # #[derive(Message)] #[message(reply = String)] struct Greet;
/// # #[derive(Subsystem)] struct Api;
/// impl Routes for Api {
///     fn routes(table: &mut RouteTable<Self>) {
///         table.on("users/{id}", |_: &mut Self, _: Greet, (Path(id),): (Path<u64>,)| {
///             format!("hello, {id}")
///         });
///     }
/// }
/// ```
pub struct RouteTable<S> {
    map: RouteMap,
    handlers: Vec<Box<dyn Handler<S>>>,
    checks: Vec<Check>,
    error: Option<MountError>,
}

/// Whether the system has what a handler's extractors want.
type Check = fn(&States) -> Result<(), MountError>;

/// The routes of a subsystem as its senders see them.
pub(crate) struct RouteMap {
    /// Unique in the system; 0 is never used.
    pub(crate) id: u32,
    router: Router<u16>,
    pub(crate) routes: Vec<Route>,
    /// The types of the messages that the handlers take, by number.
    messages: Vec<&'static str>,
    /// Latencies of the subsystems of this kind that have no book of their own, by thread.
    books: Box<[OnceCell<Arc<Book>>]>,
}

/// One pattern, with the messages that it takes.
pub(crate) struct Route {
    pub(crate) pattern: Pattern,
    pub(crate) text: Arc<str>,
    pub(crate) messages: Vec<RouteMessage>,
}

pub(crate) struct RouteMessage {
    id: TypeId,
    pub(crate) name: &'static str,
    /// An `Arc<dyn Pack<M>>` for the message's type `M`.
    pack: Box<dyn Any + Send + Sync>,
}

/// The handlers of a subsystem, by number.
pub(crate) struct Handlers<S>(pub(crate) Box<[Box<dyn Handler<S>>]>);

impl<S: 'static> RouteTable<S> {
    pub(crate) fn new(id: u32, threads: usize) -> Self {
        RouteTable {
            map: RouteMap {
                id,
                router: Router::new(),
                routes: Vec::new(),
                messages: Vec::new(),
                books: (0..threads).map(|_| OnceCell::new()).collect(),
            },
            handlers: Vec::new(),
            checks: Vec::new(),
            error: None,
        }
    }

    /// Enters a handler that answers at once. A mistake in the pattern, a second handler for the same
    /// message on the same pattern, and an ambiguous pattern refuse the mount.
    pub fn on<M, A, R>(
        &mut self,
        pattern: &str,
        handler: impl Fn(&mut S, M, A) -> R + Send + Sync + 'static,
    ) where
        M: Message,
        A: Extract,
        R: IntoReply<M::Reply> + 'static,
    {
        let handler = Box::new(SyncHandler::<_, M, A, R>::new(handler));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters a handler that may wait; `&mut` of the subsystem stays borrowed meanwhile, and the next
    /// message is handled when it has ended.
    pub fn on_async<M, A, R>(
        &mut self,
        pattern: &str,
        handler: impl AsyncFn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    ) where
        M: Message,
        A: Extract,
        R: IntoReply<M::Reply> + 'static,
    {
        let handler = Box::new(AsyncHandler::<_, M, A, R>::new(handler));
        self.enter::<M, A>(pattern, handler);
    }

    fn enter<M: Message, A: Extract>(&mut self, pattern: &str, handler: Box<dyn Handler<S>>) {
        if self.error.is_none()
            && let Err(error) = self.try_enter::<M, A>(pattern, handler)
        {
            self.error = Some(error);
        }
    }

    fn try_enter<M: Message, A: Extract>(
        &mut self,
        pattern: &str,
        handler: Box<dyn Handler<S>>,
    ) -> Result<(), MountError> {
        let parsed = Pattern::parse(pattern).map_err(|error| MountError::BadPattern {
            pattern: pattern.into(),
            error,
        })?;
        let number = u16::try_from(self.handlers.len()).expect("fewer than 65,536 handlers");
        let map = &mut self.map;
        let known = map.routes.iter().position(|route| route.pattern == parsed);
        let at = match known {
            Some(at) => at,
            None => {
                let at = map.routes.len();
                map.router
                    .insert(parsed.clone(), at as u16)
                    .map_err(MountError::Ambiguous)?;
                map.routes.push(Route {
                    text: parsed.as_str().into(),
                    pattern: parsed,
                    messages: Vec::new(),
                });
                at
            }
        };
        let route = &mut map.routes[at];
        if route.messages.iter().any(|m| m.id == TypeId::of::<M>()) {
            return Err(MountError::DuplicateRoute {
                pattern: pattern.into(),
                message: type_name::<M>(),
            });
        }
        let pack: Arc<dyn Pack<M>> = Arc::new(Packer::<A> {
            number,
            route: at as u16,
            captures: route.pattern.capture_count(),
            extractors: std::marker::PhantomData,
        });
        route.messages.push(RouteMessage {
            id: TypeId::of::<M>(),
            name: type_name::<M>(),
            pack: Box::new(pack),
        });
        map.messages.push(type_name::<M>());
        self.handlers.push(handler);
        self.checks.push(A::check);
        Ok(())
    }

    /// Splits the table, if there was no mistake in it.
    pub(crate) fn finish(self, states: &States) -> Result<(RouteMap, Handlers<S>), MountError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        for check in self.checks {
            check(states)?;
        }
        Ok((self.map, Handlers(self.handlers.into_boxed_slice())))
    }
}

impl RouteMap {
    /// The number of the route that a path takes, with its captures.
    #[inline]
    pub(crate) fn find<'p>(&self, path: &PathRef<'p>) -> Option<(u16, mycelia_core::Captures<'p>)> {
        let found = self.router.find(path)?;
        Some((*found.value, found.captures))
    }

    /// What a message with these numbers on its envelope is: its route's pattern, and its type.
    pub(crate) fn name(&self, route: u16, handler: u16) -> (Arc<str>, &'static str) {
        let pattern = self.routes.get(usize::from(route));
        let message = self.messages.get(usize::from(handler));
        (
            pattern.map_or("?".into(), |route| route.text.clone()),
            message.copied().unwrap_or("?"),
        )
    }

    /// A book for latencies of these routes.
    pub(crate) fn new_book(&self) -> Arc<Book> {
        Arc::new(Book::new(self.routes.len()))
    }

    /// The book that the subsystems of this kind on one thread share.
    pub(crate) fn shared_book(&self, thread: usize) -> Arc<Book> {
        self.books[thread].get_or_init(|| self.new_book()).clone()
    }

    /// All shared books.
    pub(crate) fn shared_books(&self) -> impl Iterator<Item = &Arc<Book>> {
        self.books.iter().filter_map(OnceCell::get)
    }

    /// The route of a pattern; what its captures are called does not matter.
    pub(crate) fn by_pattern(&self, pattern: &str) -> Option<&Route> {
        // Written as at its handler, nearly always.
        let same_text = |route: &&Route| route.pattern.as_str() == pattern;
        if let Some(route) = self.routes.iter().find(same_text) {
            return Some(route);
        }
        let pattern = Pattern::parse(pattern).ok()?;
        self.routes
            .iter()
            .find(|route| route.pattern.same_shape(&pattern))
    }
}

impl Route {
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

/// How a route takes a message of type `M`.
pub(crate) trait Pack<M>: Send + Sync {
    /// Takes the message, packs it into an envelope and puts that into the mailbox. Refused, the message
    /// is where it was.
    ///
    /// The captures are parsed first: no envelope is held while their own parsers run.
    fn post(
        &self,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused>;

    /// How many captures the pattern has.
    fn captures(&self) -> usize;

    /// The numbers of route and handler.
    fn numbers(&self) -> (u16, u16);
}

/// Where a message goes, and what is written on its envelope.
pub(crate) struct Post<'p> {
    pub(crate) pool: &'p Pool,
    pub(crate) local: &'p Local,
    pub(crate) clock: &'p Clock,
    pub(crate) seat: &'p Seat,
    /// The table that the packer is of.
    pub(crate) table: u32,
    pub(crate) priority: Priority,
    /// For an ask.
    pub(crate) ask: Option<Patience>,
}

/// How long an asker waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// `None` for ever.
    pub(crate) deadline: Option<Duration>,
    /// The same in raw units of the clock.
    ticks: u64,
    /// It is what every ask has by default, and so need not be exact.
    pub(crate) is_default: bool,
}

impl Patience {
    pub(crate) fn new(clock: &Clock, deadline: Option<Duration>, is_default: bool) -> Self {
        Patience {
            deadline,
            ticks: deadline.map_or(0, |deadline| clock.ticks(deadline)),
            is_default,
        }
    }

    #[inline]
    pub(crate) fn due(self, now: Stamp) -> Due {
        match self.deadline {
            None => Due::NEVER,
            Some(_) => Due::at(now.0.saturating_add(self.ticks), self.is_default),
        }
    }
}

/// A message in its mailbox: its envelope's number, and whether the receiver sleeps. One word, so that
/// it is returned in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posted(u32);

impl Posted {
    const ASLEEP: u32 = 1 << 31;

    #[inline]
    fn new(index: u32, is_asleep: bool) -> Self {
        Posted(index | if is_asleep { Self::ASLEEP } else { 0 })
    }

    pub(crate) fn index(self) -> u32 {
        self.0 & !Self::ASLEEP
    }

    /// True if the receiver must be woken.
    #[inline]
    pub(crate) fn is_asleep(self) -> bool {
        self.0 & Self::ASLEEP != 0
    }
}

/// Why a message was not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A capture did not parse; the address keeps the error.
    Capture,
    NoEnvelope,
    /// It is full, or closed.
    Mailbox,
    /// The system takes nothing from this sender.
    Stopped,
}

struct Packer<A> {
    number: u16,
    route: u16,
    captures: usize,
    extractors: std::marker::PhantomData<fn() -> A>,
}

impl<M: Message, A: Extract> Pack<M> for Packer<A> {
    fn post(
        &self,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused> {
        let packed = match A::pack(address) {
            Ok(packed) => packed,
            Err(error) => {
                address.error = Some(error);
                return Err(Refused::Capture);
            }
        };
        let capacity = post.seat.capacity();
        if post.seat.is_full(capacity) {
            // Known before an envelope is taken from those who could use it.
            return Err(Refused::Mailbox);
        }
        let pool = post.pool;
        let lane = &*post.local.lane;
        let Some(mut envelope) = pool.acquire(lane) else {
            return Err(Refused::NoEnvelope);
        };
        if !Stored::<Parcel<M, A::Packed>>::INLINE {
            lane.boxed.add(1);
        }
        let content = message.take().expect("a message is posted once");
        envelope.fill(Parcel {
            message: content,
            packed,
        });
        let now = post.clock.now();
        let reply = envelope.reply_slot();
        let head = envelope.head_mut();
        head.handler = self.number;
        head.route = self.route;
        head.table = post.table;
        head.sender = post.local.serving();
        head.sent = now.0;
        head.trace = post.local.trace();
        head.due = Due::NEVER;
        head.is_ask = false;
        if let Some(patience) = post.ask {
            // What follows from a message must not take longer than it has itself.
            let due = patience.due(now).min(post.local.due());
            head.due = due;
            head.is_ask = true;
            reply.reset(now.0, due.raw());
        }
        let index = envelope.index();
        let token = envelope.into_token();
        match post.seat.push(&pool.links, token, post.priority, capacity) {
            Ok(is_asleep) => Ok(Posted::new(index, is_asleep)),
            Err((token, _)) => {
                let mut envelope = Envelope::new(&pool.slab, token);
                let parcel = envelope.take::<Parcel<M, A::Packed>>();
                *message = parcel.map(|parcel| parcel.message);
                pool.release_one(lane, envelope);
                Err(Refused::Mailbox)
            }
        }
    }

    fn captures(&self) -> usize {
        self.captures
    }

    fn numbers(&self) -> (u16, u16) {
        (self.route, self.number)
    }
}
