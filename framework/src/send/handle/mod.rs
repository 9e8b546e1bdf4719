//! Handles: a route resolved once, for senders that send there often.

mod at;
mod patient;
mod resolve;

use std::sync::Arc;
use std::time::Duration;

pub use at::At;

use crate::books::dead_letters::DeadReason;
use crate::directory::Mounted;
use crate::mailbox::{FOR_SEVERAL, Mailbox};
use crate::route::extract::{Address, Capture, Captures, Source};
use crate::route::{Pack, RouteMap};
use crate::runtime::shared::{Letter, Shared};
use crate::send::{self, Failed, Question, Target, To};
use crate::words::error::{AskError, Undelivered};
use crate::words::message::Message;
use crate::words::priority::Priority;
use crate::words::trace::TraceId;

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
    mailbox: Arc<Mailbox>,
    table: u32,
    map: Arc<RouteMap>,
    pack: Arc<dyn Pack<M>>,
    /// If the name is that of several: each message goes to one of them.
    several: Option<Arc<Mounted>>,
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
        let Resolved { mailbox, map, .. } = &*self.inner;
        self.shared.bury(mailbox, map, letter, reason);
    }

    fn text(&self) -> Box<str> {
        format!("{}://{}", self.inner.mailbox.name, self.inner.pattern).into()
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
    /// # use mycelia::schedule::Priority;
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
    fn target<'t>(&'t self, mailbox: &'t Arc<Mailbox>) -> Target<'t, M> {
        Target {
            mailbox,
            table: self.inner.table & !FOR_SEVERAL,
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
        let Resolved {
            mailbox, several, ..
        } = &*self.inner;
        mailbox.table() == self.inner.table
            && captures <= self.inner.captures
            && several.as_ref().is_none_or(|several| !several.is_gone())
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
        let mut address = self.address(captures);
        if self.inner.several.is_some() {
            return self.tell_one(&mut address, message);
        }
        self.target(&self.inner.mailbox)
            .tell(&self.shared, &mut address, message, || self.text())
    }

    /// Sends to one of those who share the name.
    #[inline(never)]
    fn tell_one(&self, address: &mut Address<'_>, message: &mut Option<M>) -> Result<(), Failed> {
        self.target(self.choose(address))
            .tell(&self.shared, address, message, || self.text())
    }

    fn choose(&self, address: &Address<'_>) -> &Arc<Mailbox> {
        let several = self.inner.several.as_ref();
        let (route, _) = self.inner.pack.numbers();
        match several.and_then(|several| several.group()) {
            Some(group) => &group.choose(route, address).mailbox,
            None => &self.inner.mailbox,
        }
    }

    #[inline]
    fn ask_with(
        &self,
        captures: &[Capture<'_>],
        message: &mut Option<M>,
        question: &mut Question,
    ) -> Result<(), Failed> {
        if !self.is_good_for(captures.len()) {
            return self.ask_renewed(captures, message, question);
        }
        self.ask_here(captures, message, question)
    }

    #[cold]
    fn ask_renewed(
        &self,
        captures: &[Capture<'_>],
        message: &mut Option<M>,
        question: &mut Question,
    ) -> Result<(), Failed> {
        self.renewed(captures.len())?
            .ask_here(captures, message, question)
    }

    #[inline(always)]
    fn ask_here(
        &self,
        captures: &[Capture<'_>],
        message: &mut Option<M>,
        question: &mut Question,
    ) -> Result<(), Failed> {
        let mut address = self.address(captures);
        let mailbox = match &self.inner.several {
            None => &self.inner.mailbox,
            Some(_) => self.choose(&address),
        };
        let route = || self.text();
        self.target(mailbox)
            .ask(&self.shared, &mut address, message, question, route)
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

    /// Sends a message if there is room now, and waits for the reply.
    ///
    /// # Errors
    /// As [`System::try_ask`](crate::System::try_ask).
    pub fn try_ask(&self, message: M) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::try_ask(self, message)
    }

    /// Sends a message and waits for the reply on a thread without an executor.
    ///
    /// # Errors
    /// As [`System::ask_blocking`](crate::System::ask_blocking).
    pub fn ask_blocking(&self, message: M) -> Result<M::Reply, AskError<M>> {
        send::ask_blocking(self, message)
    }

    /// Sends a message; waits while there is no room, until `deadline` has passed since this call.
    ///
    /// # Errors
    /// As [`System::tell_within`](crate::System::tell_within).
    pub fn tell_within(
        &self,
        message: M,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), Undelivered<M>>> {
        send::tell_within(self, message, deadline)
    }
}

/// A handle names its receiver, with the captures that it has itself.
impl<M: Message> To<M> for &Route<M> {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn subsystem(&self) -> Arc<str> {
        self.inner.mailbox.name.clone()
    }

    #[inline(always)]
    fn tell(&self, message: &mut Option<M>) -> Result<(), Failed> {
        match &self.inner.fixed {
            None => self.tell_with(&[], message),
            Some(texts) => with_texts(texts, |captures| self.tell_with(captures, message)),
        }
    }

    fn ask(&self, message: &mut Option<M>, question: &mut Question) -> Result<(), Failed> {
        match &self.inner.fixed {
            None => self.ask_with(&[], message, question),
            Some(texts) => with_texts(texts, |captures| self.ask_with(captures, message, question)),
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
