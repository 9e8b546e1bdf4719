//! The table: the routes of a subsystem while they are being entered.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use mycelia_core::{Pattern, Router};

use super::options::RouteOptions;
use super::pack::{Pack, Packer};
use super::{Handlers, RouteEntry, RouteMap, RouteMessage, TopicRoute};
use crate::route::extract::{Extract, Reply, States};
use crate::route::handler::Handler;
use crate::route::handler::hooks::Hooks;
use crate::route::handler::method::{
    AtOnce, Awaited, AwaitedReplyLater, Method, OffThread, ReplyLater,
};
use crate::route::handler::within::{WithinDeferredHandler, WithinHandler};
use crate::words::error::MountError;
use crate::words::events::EndReason;
use crate::words::message::{GiveBack, IntoReply, MESSAGE_BYTES_MAX, Message, Nothing};
use crate::words::supervision::Failure;

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
    threads: usize,
    handlers: Vec<Box<dyn Handler<S>>>,
    hooks: Hooks<S>,
    checks: Vec<Check>,
    error: Option<MountError>,
}

/// Checks that the system has what a handler's extractors want.
type Check = fn(&States) -> Result<(), MountError>;

impl<S: 'static> RouteTable<S> {
    pub(crate) fn new(id: u32, threads: usize) -> Self {
        RouteTable {
            map: RouteMap {
                id,
                type_name: type_name::<S>(),
                router: Router::new(),
                routes: Vec::new(),
                messages: Vec::new(),
                books: Arc::new([]),
            },
            threads,
            handlers: Vec::new(),
            hooks: Hooks::default(),
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
        R::Later: GiveBack<M, A::Packed>,
    {
        let handler = Box::new(Method::<AtOnce, _, M, A, R>::new(handler));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters a handler that may wait. It borrows the subsystem meanwhile, so the next message is handled when it
    /// has ended.
    pub fn on_async<M, A, R>(
        &mut self,
        pattern: &str,
        handler: impl AsyncFn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    ) where
        M: Message,
        A: Extract,
        R: IntoReply<M::Reply> + 'static,
        R::Later: GiveBack<M, A::Packed>,
    {
        let handler = Box::new(Method::<Awaited, _, M, A, R>::new(handler));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters a handler as [`on_async`](Self::on_async) does, with options.
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    /// use mycelia::RouteOptions;
    /// use std::time::Duration;
    /// # #[derive(Message)] #[message(reply = String)] struct Fetch;
    /// # #[derive(Subsystem)] struct Api;
    /// impl Routes for Api {
    ///     fn routes(table: &mut RouteTable<Self>) {
    ///         let options = RouteOptions::new().within(Duration::from_secs(2));
    ///         table.on_async_with("fetch", options, async |_: &mut Self, _: Fetch, (): ()| {
    ///             String::from("there it is")
    ///         });
    ///     }
    /// }
    /// ```
    pub fn on_async_with<M, A, R>(
        &mut self,
        pattern: &str,
        options: RouteOptions,
        handler: impl AsyncFn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    ) where
        M: Message,
        A: Extract,
        R: IntoReply<M::Reply> + 'static,
        R::Later: GiveBack<M, A::Packed>,
    {
        let Some(within) = options.within else {
            return self.on_async(pattern, handler);
        };
        let handler = Box::new(WithinHandler::<_, M, A, R>::new(handler, within));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters a handler that blocks its thread, with files, locks or long computations. It runs on one of the
    /// [`blocking_threads`](crate::Builder::blocking_threads). The next message is handled when it has ended.
    pub fn on_blocking<M, A, R>(
        &mut self,
        pattern: &str,
        handler: impl Fn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    ) where
        S: Send,
        M: Message,
        A: Extract + Send,
        R: IntoReply<M::Reply> + Send + 'static,
        R::Later: GiveBack<M, A::Packed>,
    {
        let handler = Box::new(Method::<OffThread, _, M, A, R>::new(handler));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters a handler that takes a [`Reply`] beside its message, and answers with it.
    pub fn on_deferred<M, A>(
        &mut self,
        pattern: &str,
        handler: impl Fn(&mut S, (M, Reply<M>), A) + Send + Sync + 'static,
    ) where
        M: Message,
        A: Extract,
    {
        let handler = Box::new(Method::<ReplyLater, _, M, A, ()>::new(handler));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters a handler that takes a [`Reply`] beside its message, and may wait. It borrows the subsystem
    /// meanwhile.
    pub fn on_async_deferred<M, A>(
        &mut self,
        pattern: &str,
        handler: impl AsyncFn(&mut S, (M, Reply<M>), A) + Clone + Send + Sync + 'static,
    ) where
        M: Message,
        A: Extract,
    {
        let handler = Box::new(Method::<AwaitedReplyLater, _, M, A, ()>::new(handler));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters a handler as [`on_async_deferred`](Self::on_async_deferred) does, with options.
    pub fn on_async_deferred_with<M, A>(
        &mut self,
        pattern: &str,
        options: RouteOptions,
        handler: impl AsyncFn(&mut S, (M, Reply<M>), A) + Clone + Send + Sync + 'static,
    ) where
        M: Message,
        A: Extract,
    {
        let Some(within) = options.within else {
            return self.on_async_deferred(pattern, handler);
        };
        let handler = Box::new(WithinDeferredHandler::<_, M, A>::new(handler, within));
        self.enter::<M, A>(pattern, handler);
    }

    /// Enters the method that is called on the factory's value before the first message. If it fails, so does the
    /// mount or the restart.
    pub fn started<A, R>(
        &mut self,
        hook: impl AsyncFn(&mut S, (), A) -> R + Clone + Send + Sync + 'static,
    ) where
        A: Extract,
        R: IntoReply<(), Later = Nothing> + 'static,
    {
        self.hooks.started = Some(Box::new(Method::<Awaited, _, (), A, R>::new(hook)));
        self.checks.push(A::check);
    }

    /// Enters the method that is called on the factory's new value after a failure, before
    /// [`started`](Self::started). If it fails, so does the restart.
    pub fn restarting<A, R>(
        &mut self,
        hook: impl AsyncFn(&mut S, Failure, A) -> R + Clone + Send + Sync + 'static,
    ) where
        A: Extract,
        R: IntoReply<(), Later = Nothing> + 'static,
    {
        self.hooks.restarting = Some(Box::new(Method::<Awaited, _, Failure, A, R>::new(hook)));
        self.checks.push(A::check);
    }

    /// Enters the method that is called after the last message, unless the subsystem failed. Its own failure is
    /// reported, and changes nothing.
    pub fn stopped<A, R>(
        &mut self,
        hook: impl AsyncFn(&mut S, EndReason, A) -> R + Clone + Send + Sync + 'static,
    ) where
        A: Extract,
        R: IntoReply<(), Later = Nothing> + 'static,
    {
        self.hooks.stopped = Some(Box::new(Method::<Awaited, _, EndReason, A, R>::new(hook)));
        self.checks.push(A::check);
    }

    fn enter<M: Message, A: Extract>(&mut self, pattern: &str, handler: Box<dyn Handler<S>>) {
        self.enter_at::<M, A>(pattern, None, handler);
    }

    /// Has the mount refused because of this, unless there was a mistake before.
    pub(super) fn refuse(&mut self, error: MountError) {
        self.error.get_or_insert(error);
    }

    /// Enters a handler that paths lead to, or one that a topic leads to.
    pub(super) fn enter_at<M: Message, A: Extract>(
        &mut self,
        pattern: &str,
        topic: Option<TopicRoute>,
        handler: Box<dyn Handler<S>>,
    ) {
        // The derive checks this too, but not for generic types.
        const {
            assert!(
                size_of::<M>() <= MESSAGE_BYTES_MAX && size_of::<M::Reply>() <= MESSAGE_BYTES_MAX,
                "a message has at most 16 KiB, and so has its reply: put what is large into a `Box`"
            );
        }
        if self.error.is_none()
            && let Err(error) = self.try_enter::<M, A>(pattern, topic, handler)
        {
            self.error = Some(error);
        }
    }

    fn try_enter<M: Message, A: Extract>(
        &mut self,
        pattern: &str,
        topic: Option<TopicRoute>,
        handler: Box<dyn Handler<S>>,
    ) -> Result<(), MountError> {
        let parsed = Pattern::parse(pattern).map_err(|error| MountError::BadPattern {
            subsystem: Box::default(),
            pattern: pattern.into(),
            error,
        })?;
        let number = u16::try_from(self.handlers.len()).expect("fewer than 65,536 handlers");
        let map = &mut self.map;
        let is_known = |route: &RouteEntry| route.pattern == parsed && route.topic == topic;
        let known = map.routes.iter().position(is_known);
        let at = match known {
            Some(at) => at,
            None => {
                let at = map.routes.len();
                let text = match &topic {
                    Some(topic) => format!("{}://{parsed}", topic.name).into(),
                    None => {
                        let entered = map.router.insert(parsed.clone(), at as u16);
                        entered.map_err(|error| MountError::Ambiguous {
                            subsystem: Box::default(),
                            error,
                        })?;
                        parsed.as_str().into()
                    }
                };
                map.routes.push(RouteEntry {
                    text,
                    pattern: parsed,
                    topic,
                    messages: Vec::new(),
                });
                at
            }
        };
        let route = &mut map.routes[at];
        if route.messages.iter().any(|m| m.id == TypeId::of::<M>()) {
            return Err(MountError::DuplicateRoute {
                subsystem: Box::default(),
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
        route.messages.push(RouteMessage::new(pack));
        map.messages.push(type_name::<M>());
        self.handlers.push(handler);
        self.checks.push(A::check);
        Ok(())
    }

    /// Splits the table, if there was no mistake in it.
    pub(crate) fn finish(mut self, states: &States) -> Result<(RouteMap, Handlers<S>), MountError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        for check in self.checks {
            check(states)?;
        }
        let new_book = |_| self.map.new_book();
        self.map.books = (0..self.threads).map(new_book).collect();
        let handlers = Handlers {
            handlers: self.handlers.into_boxed_slice(),
            hooks: self.hooks,
        };
        Ok((self.map, handlers))
    }
}
