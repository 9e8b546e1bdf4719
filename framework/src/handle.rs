//! Handles: a route resolved once, for senders that send there often.

use std::sync::Arc;
use std::time::Duration;

use mycelia_core::PathRef;

use crate::address::{mounted, pack_of, route_text};
use crate::error::{AskError, CaptureError, SendError, Undelivered};
use crate::extract::{Address, Capture, Captures, Source};
use crate::mailbox::{Seat, Serving};
use crate::message::Message;
use crate::route::Pack;
use crate::send::{Answer, Attempt, Kind, Sent, Target, attempt, park_on, until_room};
use crate::shared::Shared;

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
}

struct Resolved<M> {
    seat: Arc<Seat>,
    table: u32,
    pack: Arc<dyn Pack<M>>,
    /// The route's pattern as it stands in its subsystem, without the name.
    pattern: Box<str>,
    /// The captures of the path that it was made from.
    fixed: Option<Box<[Box<str>]>>,
    /// And its query.
    query: Option<Box<str>>,
}

impl<M: Message> Clone for Route<M> {
    fn clone(&self) -> Self {
        Route {
            shared: self.shared.clone(),
            inner: self.inner.clone(),
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
        let inner = if text.contains('{') {
            let (name, pattern) = text
                .split_once("://")
                .ok_or(SendError::BadPath(mycelia_core::PathError::NoScheme))?;
            let mounted = mounted(shared, name)?;
            let route = mounted
                .map
                .by_pattern(pattern)
                .ok_or_else(|| SendError::NoRoute { path: text.into() })?;
            Resolved {
                seat: mounted.seat.clone(),
                table: mounted.map.id,
                pack: pack_of::<M>(&mounted, route)?.clone(),
                pattern: pattern.into(),
                fixed: None,
                query: None,
            }
        } else {
            let path = PathRef::parse(text).map_err(SendError::BadPath)?;
            let mounted = mounted(shared, path.name())?;
            let (route, captures) = mounted
                .map
                .find(&path)
                .ok_or_else(|| SendError::NoRoute { path: text.into() })?;
            let fixed = (0..captures.len())
                .filter_map(|i| captures.get(i))
                .map(|text| text.into())
                .collect();
            Resolved {
                seat: mounted.seat.clone(),
                table: mounted.map.id,
                pack: pack_of::<M>(&mounted, route)?.clone(),
                pattern: route.pattern.as_str().into(),
                fixed: Some(fixed),
                query: path.query().map(Into::into),
            }
        };
        Ok(Route {
            shared: shared.clone(),
            inner: Arc::new(inner),
        })
    }

    fn text(&self) -> Box<str> {
        format!("{}://{}", self.inner.seat.name, self.inner.pattern).into()
    }

    /// The same route with captures: a number, a text, or a tuple or array of them.
    pub fn at<C: Captures>(&self, captures: C) -> At<'_, M, C> {
        At {
            route: self,
            captures,
        }
    }

    #[inline]
    fn attempt(
        &self,
        captures: &[Capture<'_>],
        kind: Kind,
        message: M,
    ) -> Result<Sent, Attempt<M>> {
        let inner = &*self.inner;
        let shared = &*self.shared;
        if captures.len() > inner.pack.captures() {
            let error = CaptureError::TooMany {
                pattern: inner.pack.captures(),
                given: captures.len(),
            };
            let reason = SendError::BadCapture {
                route: self.text(),
                error: Box::new(error),
            };
            return Err(Attempt::Failed(Undelivered::new(reason, message)));
        }
        let address = Address::new(Source::Values(captures), inner.query.as_deref());
        let target = Target {
            seat: &inner.seat,
            table: inner.table,
            pack: &*inner.pack,
            route: &|| self.text(),
        };
        if inner.seat.table() == inner.table {
            return attempt(shared, &target, address, kind, message);
        }
        self.attempt_anew(address, kind, message)
    }

    /// The subsystem was mounted again with other routes: resolves for this message.
    #[cold]
    fn attempt_anew(
        &self,
        address: Address<'_>,
        kind: Kind,
        message: M,
    ) -> Result<Sent, Attempt<M>> {
        let fail = |reason, message| Err(Attempt::Failed(Undelivered::new(reason, message)));
        let seat = &self.inner.seat;
        let mounted = match mounted(&self.shared, &seat.name) {
            Ok(mounted) => mounted,
            Err(_) => {
                let subsystem = seat.name.clone();
                return fail(SendError::Closed { subsystem }, message);
            }
        };
        let Some(route) = mounted.map.by_pattern(&self.inner.pattern) else {
            return fail(SendError::NoRoute { path: self.text() }, message);
        };
        let pack = match pack_of::<M>(&mounted, route) {
            Ok(pack) => pack,
            Err(reason) => return fail(reason, message),
        };
        let target = Target {
            seat: &mounted.seat,
            table: mounted.map.id,
            pack: &**pack,
            route: &|| route_text(&mounted, route),
        };
        attempt(&self.shared, &target, address, kind, message)
    }

    fn fixed<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
        match &self.inner.fixed {
            None => f(&[]),
            Some(fixed) => match &**fixed {
                [] => f(&[]),
                [one] => f(&[Capture::Text(one)]),
                many => {
                    let captures: Vec<_> = many.iter().map(|text| Capture::Text(text)).collect();
                    f(&captures)
                }
            },
        }
    }

    /// Sends a message; waits while there is no room.
    ///
    /// # Errors
    /// As [`System::tell`](crate::System::tell).
    ///
    /// # Cancel safety
    /// Dropped while it waits, it has sent nothing; the message is dropped with it.
    pub async fn tell(&self, message: M) -> Result<(), Undelivered<M>> {
        until_room(&self.shared, message, |message| {
            self.fixed(|captures| self.attempt(captures, Kind::Tell, message))
        })
        .await
        .map(drop)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// As [`System::try_tell`](crate::System::try_tell).
    pub fn try_tell(&self, message: M) -> Result<(), Undelivered<M>> {
        self.fixed(|captures| self.attempt(captures, Kind::Tell, message))
            .map(drop)
            .map_err(|failed| failed.give_up(&self.shared))
    }

    /// Sends a message from a thread without an executor.
    ///
    /// # Errors
    /// As [`System::tell_blocking`](crate::System::tell_blocking).
    pub fn tell_blocking(&self, message: M) -> Result<(), Undelivered<M>> {
        if Serving::any() {
            return self.try_tell(message);
        }
        park_on(self.tell(message))
    }

    /// Sends a message and waits for the reply.
    ///
    /// # Errors
    /// As [`System::ask`](crate::System::ask).
    pub async fn ask(&self, message: M) -> Result<M::Reply, AskError<M>> {
        let sent = until_room(&self.shared, message, |message| {
            self.fixed(|captures| self.attempt(captures, Kind::Ask(None), message))
        })
        .await?;
        Answer::new(&self.shared, sent).await
    }

    /// Sends a message and waits for the reply until `deadline` has passed.
    ///
    /// # Errors
    /// As [`System::ask_within`](crate::System::ask_within).
    pub async fn ask_within(
        &self,
        message: M,
        deadline: Duration,
    ) -> Result<M::Reply, AskError<M>> {
        let sent = until_room(&self.shared, message, |message| {
            self.fixed(|captures| self.attempt(captures, Kind::Ask(Some(deadline)), message))
        })
        .await?;
        Answer::new(&self.shared, sent).within(deadline).await
    }
}

/// A route with captures, made by [`Route::at`].
#[must_use = "it sends nothing before `tell`, `try_tell` or `ask`"]
pub struct At<'r, M: Message, C> {
    route: &'r Route<M>,
    captures: C,
}

impl<M: Message, C: Captures> At<'_, M, C> {
    #[inline]
    fn attempt(&self, kind: Kind, message: M) -> Result<Sent, Attempt<M>> {
        self.captures
            .with(|captures| self.route.attempt(captures, kind, message))
    }

    /// As [`Route::tell`].
    ///
    /// # Errors
    /// As [`System::tell`](crate::System::tell).
    pub async fn tell(self, message: M) -> Result<(), Undelivered<M>> {
        until_room(&self.route.shared, message, |message| {
            self.attempt(Kind::Tell, message)
        })
        .await
        .map(drop)
    }

    /// As [`Route::try_tell`].
    ///
    /// # Errors
    /// As [`System::try_tell`](crate::System::try_tell).
    #[inline]
    pub fn try_tell(self, message: M) -> Result<(), Undelivered<M>> {
        self.attempt(Kind::Tell, message)
            .map(drop)
            .map_err(|failed| failed.give_up(&self.route.shared))
    }

    /// As [`Route::tell_blocking`].
    ///
    /// # Errors
    /// As [`System::tell_blocking`](crate::System::tell_blocking).
    pub fn tell_blocking(self, message: M) -> Result<(), Undelivered<M>> {
        if Serving::any() {
            return self.try_tell(message);
        }
        park_on(self.tell(message))
    }

    /// As [`Route::ask`].
    ///
    /// # Errors
    /// As [`System::ask`](crate::System::ask).
    pub async fn ask(self, message: M) -> Result<M::Reply, AskError<M>> {
        let shared = &self.route.shared;
        let sent = until_room(shared, message, |message| {
            self.attempt(Kind::Ask(None), message)
        })
        .await?;
        Answer::new(shared, sent).await
    }

    /// As [`Route::ask_within`].
    ///
    /// # Errors
    /// As [`System::ask_within`](crate::System::ask_within).
    pub async fn ask_within(self, message: M, deadline: Duration) -> Result<M::Reply, AskError<M>> {
        let shared = &self.route.shared;
        let sent = until_room(shared, message, |message| {
            self.attempt(Kind::Ask(Some(deadline)), message)
        })
        .await?;
        Answer::new(shared, sent).within(deadline).await
    }
}
