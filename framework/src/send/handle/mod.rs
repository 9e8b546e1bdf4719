//! Handles: a route resolved once, for senders that send there often.

mod verbs;
mod at;
mod make;
mod parts;

use std::sync::Arc;
use std::time::Duration;

pub use at::At;
pub(crate) use parts::HandleParts;
use verbs::handle_verbs;

use crate::base::clock::Clock;
use crate::books::dead_letters::DeadReason;
use crate::directory::Mounted;
use crate::mailbox::{FOR_SEVERAL, Mailbox};
use crate::route::extract::{Address, Capture, Captures, Source};
use crate::route::{Pack, RouteMap};
use crate::runtime::shared::{Letter, Shared};
use crate::send::chosen::{choose, is_to_be_tried_again};
use crate::send::{self, Failed, Question, Target, To};
use crate::words::error::{AskError, Undelivered};
use crate::words::message::Message;
use crate::words::priority::Priority;
use crate::words::trace::TraceId;

/// A route of a mounted subsystem, resolved for messages of type `M`.
///
/// [`System::route`](crate::System::route) makes it, from a pattern or from a path. With a pattern
/// (`api://users/{id}`) each message brings its captures ([`at`](Self::at)). With a path (`api://users/7`) the handle
/// keeps the captures. It stays good when its subsystem is restarted, and when it is mounted again after an unmount. In
/// between its sends fail with `Closed`. Cloning copies two pointers.
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
    /// For timers and streams: no one can take their message back, so it waits where the mailbox's policy
    /// would hand it back.
    always_waits: bool,
}

struct Resolved<M> {
    mailbox: Arc<Mailbox>,
    /// The number of the route table that it was resolved in.
    table: u32,
    map: Arc<RouteMap>,
    pack: Arc<dyn Pack<M>>,
    /// If replicas share the name: each message goes to one of them.
    several: Option<Arc<Mounted>>,
    /// How many captures the pattern has.
    captures: usize,
    /// The route's pattern as it stands in its subsystem, without the name.
    pattern: Box<str>,
    /// The captures of the path that it was made from, if it has any.
    fixed: Option<Box<[Box<str>]>>,
    /// The query of that path, if it has one.
    query: Option<Box<str>>,
}

impl<M: Message> Clone for Route<M> {
    fn clone(&self) -> Self {
        Route {
            shared: self.shared.clone(),
            inner: self.inner.clone(),
            ..*self
        }
    }
}

impl<M: Message> std::fmt::Debug for Route<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Route({})", self.text())
    }
}

impl<M: Message> Route<M> {
    /// Makes a dead letter of a message that was sent here and failed, and whose sender takes no error.
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

    /// The name of its subsystem.
    pub fn subsystem(&self) -> Arc<str> {
        self.inner.mailbox.name.clone()
    }

    /// The clock of its system.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The same route with captures: a number, a text, or a tuple or array of them.
    pub fn at<C: Captures>(&self, captures: C) -> At<'_, M, C> {
        At::new(self, captures)
    }

    /// The same route, with a priority for every message that is sent by it.
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

    /// True if a message with that many captures can be sent by this handle as it is.
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
    fn send_with(
        &self,
        captures: &[Capture<'_>],
        message: &mut Option<M>,
        question: Option<&mut Question>,
    ) -> Result<(), Failed> {
        if !self.is_good_for(captures.len()) {
            return self.send_renewed(captures, message, question);
        }
        self.send_here(captures, message, question)
    }

    #[cold]
    fn send_renewed(
        &self,
        captures: &[Capture<'_>],
        message: &mut Option<M>,
        question: Option<&mut Question>,
    ) -> Result<(), Failed> {
        let renewed = self.renewed(captures.len())?;
        renewed.send_here(captures, message, question)
    }

    #[inline(always)]
    fn send_here(
        &self,
        captures: &[Capture<'_>],
        message: &mut Option<M>,
        question: Option<&mut Question>,
    ) -> Result<(), Failed> {
        let mut address = Address::new(Source::Values(captures), self.inner.query.as_deref());
        if self.inner.several.is_some() {
            return self.send_to_one(captures, &mut address, message, question);
        }
        self.send_to(&self.inner.mailbox, &mut address, message, question)
    }

    /// Sends to one of the replicas that share the name.
    #[inline(never)]
    fn send_to_one(
        &self,
        captures: &[Capture<'_>],
        address: &mut Address<'_>,
        message: &mut Option<M>,
        mut question: Option<&mut Question>,
    ) -> Result<(), Failed> {
        let several = self.inner.several.as_deref();
        let Some((face, group)) = several.and_then(|face| Some((face, face.group()?))) else {
            return self.send_to(&self.inner.mailbox, address, message, question);
        };
        let (route, _) = self.inner.pack.numbers();
        let chosen = choose(group, route, address)?;
        let mailbox = &chosen.mailbox;
        let sent = self.send_to(mailbox, address, message, question.as_deref_mut());
        match is_to_be_tried_again(&self.shared, face, chosen, &sent) {
            true => self.send_renewed(captures, message, question),
            false => sent,
        }
    }

    #[inline(always)]
    fn send_to(
        &self,
        mailbox: &Arc<Mailbox>,
        address: &mut Address<'_>,
        message: &mut Option<M>,
        question: Option<&mut Question>,
    ) -> Result<(), Failed> {
        let target = Target {
            mailbox,
            table: self.inner.table & !FOR_SEVERAL,
            map: &self.inner.map,
            pack: &*self.inner.pack,
            priority: self.priority,
            always_waits: self.always_waits,
        };
        let route = || self.text();
        target.send(&self.shared, address, message, question, route)
    }
}

impl<M: Message> Route<M> {
    handle_verbs!(self: &self);
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
    fn send(&self, message: &mut Option<M>, question: Option<&mut Question>) -> Result<(), Failed> {
        match &self.inner.fixed {
            None => self.send_with(&[], message, question),
            Some(texts) => with_texts(texts, |captures| {
                self.send_with(captures, message, question)
            }),
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
