//! The routes of a subsystem that topics lead to: no path of its own does.

use super::RouteTable;
use crate::route::extract::Extract;
use crate::route::handler::Handler;
use crate::route::handler::method::{AtOnce, Awaited, Method, OffThread};
use crate::words::error::MountError;
use crate::words::message::{GiveBack, IntoReply, Message};
use mycelia_core::check_name;

/// Which topics lead to a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRoute {
    /// The part before `://`.
    pub(crate) name: Box<str>,
    /// Of replicas each gets a copy.
    pub(crate) each: bool,
    /// How many of the messages that are retained it gets when it is mounted.
    pub(crate) last: u32,
}

/// Splits the pattern of topics at its `://`, if it has one and a name before it.
pub(crate) fn split_topic(topic: &str) -> Option<(&str, &str)> {
    let (name, pattern) = topic.split_once("://")?;
    check_name(name).is_ok().then_some((name, pattern))
}

/// A subscription of a subsystem while it is being entered; made by [`RouteTable::subscribe`].
#[must_use = "nothing is subscribed to before `on`, `on_async` or `on_blocking`"]
pub struct Subscribing<'t, S> {
    table: &'t mut RouteTable<S>,
    topic: &'t str,
    each: bool,
    last: u32,
}

impl<S: 'static> RouteTable<S> {
    /// Begins to enter a handler for what is published on a topic: `orders://placed/{id}`. It takes the
    /// captures of the topic's path. Neither `tell` nor `ask` reach it. A mistake in the pattern, and a second
    /// handler for the same message on the same pattern, refuse the mount.
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    /// # #[derive(Message, Clone)] struct Placed;
    /// # #[derive(Subsystem)] struct Mail;
    /// impl Routes for Mail {
    ///     fn routes(table: &mut RouteTable<Self>) {
    ///         let placed = table.subscribe("orders://placed/{id}");
    ///         placed.on(|_: &mut Self, _: Placed, (Path(id),): (Path<u64>,)| println!("order {id}"));
    ///     }
    /// }
    /// ```
    pub fn subscribe<'t>(&'t mut self, topic: &'t str) -> Subscribing<'t, S> {
        Subscribing {
            table: self,
            topic,
            each: false,
            last: 0,
        }
    }
}

impl<S: 'static> Subscribing<'_, S> {
    /// Of [replicas](crate::Replicas) each gets a copy. Else one of them does, as for other messages.
    pub fn each(mut self) -> Self {
        self.each = true;
        self
    }

    /// When it is mounted it gets the last `n` messages on topics of this pattern, of those that are
    /// [retained](crate::System::retain); the oldest of them first.
    pub fn last(mut self, n: u32) -> Self {
        self.last = n;
        self
    }

    /// Enters a handler that answers at once.
    pub fn on<M, A, R>(self, handler: impl Fn(&mut S, M, A) -> R + Send + Sync + 'static)
    where
        M: Message<Reply = ()> + Clone,
        A: Extract,
        R: IntoReply<()> + 'static,
        R::Later: GiveBack<M, A::Packed>,
    {
        self.enter::<M, A>(Box::new(Method::<AtOnce, _, M, A, R>::new(handler)));
    }

    /// Enters a handler that may wait; see [`RouteTable::on_async`].
    pub fn on_async<M, A, R>(
        self,
        handler: impl AsyncFn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    ) where
        M: Message<Reply = ()> + Clone,
        A: Extract,
        R: IntoReply<()> + 'static,
        R::Later: GiveBack<M, A::Packed>,
    {
        self.enter::<M, A>(Box::new(Method::<Awaited, _, M, A, R>::new(handler)));
    }

    /// Enters a handler that blocks its thread; see [`RouteTable::on_blocking`].
    pub fn on_blocking<M, A, R>(
        self,
        handler: impl Fn(&mut S, M, A) -> R + Clone + Send + Sync + 'static,
    ) where
        S: Send,
        M: Message<Reply = ()> + Clone,
        A: Extract + Send,
        R: IntoReply<()> + Send + 'static,
        R::Later: GiveBack<M, A::Packed>,
    {
        self.enter::<M, A>(Box::new(Method::<OffThread, _, M, A, R>::new(handler)));
    }

    fn enter<M: Message, A: Extract>(self, handler: Box<dyn Handler<S>>) {
        let Subscribing {
            table,
            topic,
            each,
            last,
        } = self;
        let Some((name, pattern)) = split_topic(topic) else {
            let name = topic.split("://").next().unwrap_or_default();
            return table.refuse(MountError::BadName { name: name.into() });
        };
        let name = name.into();
        let topic = TopicRoute { name, each, last };
        table.enter_at::<M, A>(pattern, Some(topic), handler);
    }
}
