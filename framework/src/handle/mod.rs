//! Handles: a route resolved once, for senders that send there often.

mod at;

use std::sync::Arc;
use std::time::Duration;

use mycelia_core::PathRef;

pub use at::At;

use crate::address::{mounted, pack_of};
use crate::dead_letters::DeadReason;
use crate::directory::Mounted;
use crate::error::{AskError, CaptureError, SendError, Undelivered};
use crate::extract::{Address, Capture, Captures, Source};
use crate::mailbox::Seat;
use crate::memory::Memory;
use crate::message::Message;
use crate::priority::Priority;
use crate::route::{Pack, Patience, RouteMap};
use crate::send::{self, Asked, Failed, Target, To};
use crate::shared::{Letter, Shared};
use crate::trace::TraceId;

/// A route of a mounted subsystem, resolved for messages of type `M`.
///
/// It is made by [`System::route`](crate::System::route) from a pattern (`api://users/{id}`), whose
/// captures are then given with each message ([`at`](Self::at)), or from a path (`api://users/7`), whose
/// captures it keeps. It stays good when its subsystem is restarted, and when it is mounted again after
/// an unmount; in between it says `Closed`. Cloning copies two pointers.
///
/// # Examples
/// ```
/// # use mycelia::prelude::*;
/// # #[derive(Message)] #[message(reply = String)] struct Greet;
/// # async fn example(system: &System) -> anyhow::Result<()> {
/// let users = system.route::<Greet>("api://users/{id}")?;
/// users.at(7).tell(Greet).await?;
/// let greeting = users.at(8).ask(Greet).await?;
/// # Ok(()) }
/// ```
pub struct Route<M: Message> {
    shared: Arc<Shared>,
    inner: Arc<Resolved<M>>,
    priority: Priority,
}

struct Resolved<M> {
    seat: Arc<Seat>,
    table: u32,
    map: Arc<RouteMap>,
    pack: Arc<dyn Pack<M>>,
    /// How many the pattern has.
    captures: usize,
    /// The route's pattern as it stands in its subsystem, without the name.
    pattern: Box<str>,
    /// The captures of the path that it was made from, if it has any.
    fixed: Option<Box<[Box<str>]>>,
    /// And its query.
    query: Option<Box<str>>,
}

impl<M: Message> Clone for Route<M> {
    fn clone(&self) -> Self {
        Route {
            shared: self.shared.clone(),
            inner: self.inner.clone(),
            priority: self.priority,
        }
    }
}

impl<M: Message> std::fmt::Debug for Route<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({})", self.text())
    }
}

impl<M: Message> Route<M> {
    /// Resolves a pattern or a path.
    pub(crate) fn resolve(shared: &Arc<Shared>, text: &str) -> Result<Self, SendError> {
        let memory = Memory::of(&shared.directory);
        let (name, pattern) = match text.split_once("://") {
            Some((name, rest)) => (name, rest.contains('{').then_some(rest)),
            None => return Err(SendError::BadPath(mycelia_core::PathError::NoScheme)),
        };
        match pattern {
            Some(pattern) => {
                let mounted = mounted(shared, &memory, name)?;
                Self::of_pattern(shared, &mounted, pattern)
            }
            None => {
                let path = PathRef::parse(text).map_err(SendError::BadPath)?;
                let mounted = mounted(shared, &memory, path.name())?;
                Self::of_path(shared, &mounted, &path)
            }
        }
    }

    /// Resolves a path within a subsystem, which need not be found by its name yet.
    pub(crate) fn resolve_within(
        shared: &Arc<Shared>,
        mounted: &Mounted,
        path: &str,
    ) -> Result<Self, SendError> {
        let text = format!("{}://{path}", mounted.seat.name);
        let path = PathRef::parse(&text).map_err(SendError::BadPath)?;
        Self::of_path(shared, mounted, &path)
    }

    fn of_pattern(
        shared: &Arc<Shared>,
        mounted: &Mounted,
        pattern: &str,
    ) -> Result<Self, SendError> {
        let Some(route) = mounted.map.by_pattern(pattern) else {
            let path = format!("{}://{pattern}", mounted.seat.name).into();
            return Err(SendError::NoRoute { path });
        };
        let pack = pack_of::<M>(mounted, route)?;
        Ok(Self::new(shared, mounted, pack, pattern.into(), None, None))
    }

    fn of_path(
        shared: &Arc<Shared>,
        mounted: &Mounted,
        path: &PathRef<'_>,
    ) -> Result<Self, SendError> {
        let Some((route, captures)) = mounted.map.find(path) else {
            let path = path.to_string().into();
            return Err(SendError::NoRoute { path });
        };
        let route = &mounted.map.routes[usize::from(route)];
        let pack = pack_of::<M>(mounted, route)?;
        let texts: Box<[Box<str>]> = captures.iter().map(|text| text.into()).collect();
        let fixed = Some(texts).filter(|texts| !texts.is_empty());
        let pattern = route.pattern.as_str().into();
        let query = path.query().map(Into::into);
        Ok(Self::new(shared, mounted, pack, pattern, fixed, query))
    }

    fn new(
        shared: &Arc<Shared>,
        mounted: &Mounted,
        pack: &Arc<dyn Pack<M>>,
        pattern: Box<str>,
        fixed: Option<Box<[Box<str>]>>,
        query: Option<Box<str>>,
    ) -> Self {
        Route {
            shared: shared.clone(),
            inner: Arc::new(Resolved {
                seat: mounted.seat.clone(),
                table: mounted.map.id,
                map: mounted.map.clone(),
                captures: pack.captures(),
                pack: pack.clone(),
                pattern,
                fixed,
                query,
            }),
            priority: M::PRIORITY,
        }
    }

    /// Asks, however long the reply takes.
    pub(crate) fn ask_for_ever(
        &self,
        message: M,
    ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask_for_ever(self, message)
    }

    /// Makes a dead letter of a message that went here and whose sender does not care.
    pub(crate) fn bury(&self, reason: DeadReason) {
        let (route, handler) = self.inner.pack.numbers();
        let sent = self.shared.clock.now();
        let letter = Letter {
            route,
            handler,
            sender: 0,
            sent,
            trace: TraceId::of_first(sent.0, 0),
        };
        let Resolved { seat, map, .. } = &*self.inner;
        self.shared.bury(seat, map, letter, reason);
    }

    fn text(&self) -> Box<str> {
        format!("{}://{}", self.inner.seat.name, self.inner.pattern).into()
    }

    /// The same route with captures: a number, a text, or a tuple or array of them.
    pub fn at<C: Captures>(&self, captures: C) -> At<'_, M, C> {
        At::new(self, captures)
    }

    /// The same route, by which messages are sent with that priority, whatever is theirs.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # use mycelia::Priority;
    /// # #[derive(Message)] struct Index;
    /// # async fn example(system: &System) -> anyhow::Result<()> {
    /// let later = system.route::<Index>("search://index")?.with_priority(Priority::Low);
    /// later.tell(Index).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Route {
            priority,
            ..self.clone()
        }
    }

    #[inline(always)]
    fn target(&self) -> Target<'_, M> {
        Target {
            seat: &self.inner.seat,
            table: self.inner.table,
            map: &self.inner.map,
            pack: &*self.inner.pack,
            priority: self.priority,
        }
    }

    #[inline(always)]
    fn address<'a>(&'a self, captures: &'a [Capture<'a>]) -> Address<'a> {
        Address::new(Source::Values(captures), self.inner.query.as_deref())
    }

    /// True if a message with that many captures can go on from here.
    #[inline(always)]
    fn is_good_for(&self, captures: usize) -> bool {
        self.inner.seat.table() == self.inner.table && captures <= self.inner.captures
    }

    #[inline(always)]
    fn tell_with(&self, captures: &[Capture<'_>], message: &mut Option<M>) -> Result<(), Failed> {
        if !self.is_good_for(captures.len()) {
            return self.tell_renewed(captures, message);
        }
        self.tell_here(captures, message)
    }

    #[cold]
    fn tell_renewed(
        &self,
        captures: &[Capture<'_>],
        message: &mut Option<M>,
    ) -> Result<(), Failed> {
        self.renewed(captures.len())?.tell_here(captures, message)
    }

    #[inline(always)]
    fn tell_here(&self, captures: &[Capture<'_>], message: &mut Option<M>) -> Result<(), Failed> {
        let address = self.address(captures);
        self.target()
            .tell(&self.shared, address, message, || self.text())
    }

    #[inline]
    fn ask_with(
        &self,
        captures: &[Capture<'_>],
        patience: Patience,
        message: &mut Option<M>,
    ) -> Result<Asked, Failed> {
        if !self.is_good_for(captures.len()) {
            return self.ask_renewed(captures, patience, message);
        }
        self.ask_here(captures, patience, message)
    }

    #[cold]
    fn ask_renewed(
        &self,
        captures: &[Capture<'_>],
        patience: Patience,
        message: &mut Option<M>,
    ) -> Result<Asked, Failed> {
        self.renewed(captures.len())?
            .ask_here(captures, patience, message)
    }

    #[inline(always)]
    fn ask_here(
        &self,
        captures: &[Capture<'_>],
        patience: Patience,
        message: &mut Option<M>,
    ) -> Result<Asked, Failed> {
        let address = self.address(captures);
        self.target()
            .ask(&self.shared, address, patience, message, || self.text())
    }

    /// The subsystem was mounted again with other routes: resolves for this message.
    #[cold]
    fn renewed(&self, captures: usize) -> Result<Self, Failed> {
        let Resolved { seat, pattern, .. } = &*self.inner;
        if captures > self.inner.captures {
            let error = Box::new(CaptureError::TooMany {
                pattern: self.inner.captures,
                given: captures,
            });
            let route = self.text();
            return Err(Failed::refused(SendError::BadCapture { route, error }));
        }
        let memory = Memory::of(&self.shared.directory);
        let Ok(mounted) = mounted(&self.shared, &memory, &seat.name) else {
            let subsystem = seat.name.clone();
            return Err(Failed::refused(SendError::Closed { subsystem }));
        };
        let mut renewed =
            Self::of_pattern(&self.shared, &mounted, pattern).map_err(Failed::refused)?;
        renewed.priority = self.priority;
        if let (Some(query), Some(inner)) = (&self.inner.query, Arc::get_mut(&mut renewed.inner)) {
            inner.query = Some(query.clone());
        }
        Ok(renewed)
    }

    /// Sends a message; waits while there is no room.
    ///
    /// # Errors
    /// As [`System::tell`](crate::System::tell).
    ///
    /// # Cancel safety
    /// Dropped while it waits, it has sent nothing; the message is dropped with it.
    #[inline]
    pub fn tell(&self, message: M) -> impl Future<Output = Result<(), Undelivered<M>>> {
        send::tell(self, message)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// As [`System::try_tell`](crate::System::try_tell).
    #[inline]
    pub fn try_tell(&self, message: M) -> Result<(), Undelivered<M>> {
        send::try_tell(self, message)
    }

    /// Sends a message from a thread without an executor.
    ///
    /// # Errors
    /// As [`System::tell_blocking`](crate::System::tell_blocking).
    pub fn tell_blocking(&self, message: M) -> Result<(), Undelivered<M>> {
        send::tell_blocking(self, message)
    }

    /// Sends a message and waits for the reply.
    ///
    /// # Errors
    /// As [`System::ask`](crate::System::ask).
    #[inline]
    pub fn ask(&self, message: M) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask(self, message)
    }

    /// Sends a message and waits for the reply until `deadline` has passed.
    ///
    /// # Errors
    /// As [`System::ask_within`](crate::System::ask_within).
    pub fn ask_within(
        &self,
        message: M,
        deadline: Duration,
    ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask_within(self, message, deadline)
    }
}

/// A handle names its receiver, with the captures that it has itself.
impl<M: Message> To<M> for &Route<M> {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn subsystem(&self) -> Arc<str> {
        self.inner.seat.name.clone()
    }

    #[inline(always)]
    fn tell(&self, message: &mut Option<M>) -> Result<(), Failed> {
        match &self.inner.fixed {
            None => self.tell_with(&[], message),
            Some(texts) => with_texts(texts, |captures| self.tell_with(captures, message)),
        }
    }

    fn ask(&self, patience: Patience, message: &mut Option<M>) -> Result<Asked, Failed> {
        match &self.inner.fixed {
            None => self.ask_with(&[], patience, message),
            Some(texts) => with_texts(texts, |captures| self.ask_with(captures, patience, message)),
        }
    }
}

/// Calls `f` with texts as captures.
fn with_texts<R>(texts: &[Box<str>], f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
    match texts {
        [text] => f(&[Capture::Text(text)]),
        texts => f(&Vec::from_iter(
            texts.iter().map(|text| Capture::Text(text)),
        )),
    }
}
