//! Those who subscribe: a route of a subsystem, a handle, or a stream.

use std::any::Any;
use std::sync::Arc;

use mycelia_core::Captures;

use super::stream::Inlet;
use crate::base::user_code::discard;
use crate::books::dead_letters::DeadReason;
use crate::books::topics::CopyEnd;
use crate::directory::Mounted;
use crate::mailbox::Mailbox;
use crate::route::Pack;
use crate::route::extract::{Address, Capture, Source};
use crate::runtime::shared::{Letter, Shared};
use crate::send::chosen::{choose, is_to_be_tried_again};
use crate::send::handle::{HandleParts, Route};
use crate::send::{Failed, Target};
use crate::thread::Local;
use crate::words::error::{SendError, Undelivered};
use crate::words::message::Message;
use crate::words::trace::TraceId;

/// One who subscribes, as the table knows it, which has those of all types.
#[derive(Clone)]
pub(super) enum Untyped {
    /// A route of a subsystem, or of several that share a name.
    Route(Arc<Mounted>, u16),
    /// An `Arc<HandleParts<M>>`.
    Handle(Arc<dyn Any + Send + Sync>),
    /// An `Arc<Inlet<M>>`, and what keeps the stream from its end.
    Stream(
        Arc<dyn Any + Send + Sync>,
        #[expect(dead_code, reason = "it is there to be dropped")] Arc<dyn Any + Send + Sync>,
    ),
}

/// One who gets copies of messages of type `M`.
pub(super) enum Recipient<M: Message> {
    Route(Receiver<M>),
    Handle(Arc<HandleParts<M>>),
    Stream(Arc<Inlet<M>>),
}

/// A route that a topic leads to.
pub(super) struct Receiver<M> {
    mailbox: Arc<Mailbox>,
    mounted: Arc<Mounted>,
    pack: Arc<dyn Pack<M>>,
    route: u16,
}

impl Untyped {
    pub(super) fn typed<M: Message>(&self) -> Option<Recipient<M>> {
        match self {
            Untyped::Route(mounted, route) => Receiver::new(mounted, *route).map(Recipient::Route),
            Untyped::Handle(parts) => parts.clone().downcast().ok().map(Recipient::Handle),
            Untyped::Stream(inlet, _) => inlet.clone().downcast().ok().map(Recipient::Stream),
        }
    }
}

/// A message's path, as it is for one pattern.
#[derive(Clone, Copy)]
pub(super) struct Topic<'p> {
    pub(super) captures: &'p Captures<'p>,
    pub(super) query: Option<&'p str>,
}

impl<M: Message> Recipient<M> {
    /// Sends a copy, or leaves it where it is.
    #[inline(always)]
    pub(super) fn send(
        &self,
        shared: &Arc<Shared>,
        topic: Topic<'_>,
        copy: &mut Option<M>,
    ) -> Result<(), Failed> {
        match self {
            Recipient::Route(receiver) => receiver.send(shared, topic, copy),
            Recipient::Handle(parts) => {
                let handle = Route::of_parts(shared, parts);
                with_captures(topic.captures, |captures| handle.tell_copy(captures, copy))
            }
            Recipient::Stream(inlet) => inlet.put(copy),
        }
    }

    /// Ends a copy that it did not accept.
    #[cold]
    pub(super) fn end(&self, shared: &Arc<Shared>, failed: Failed, copy: Option<M>) -> CopyEnd {
        match copy {
            Some(copy) => self.end_undelivered(shared, failed.give_up(shared, Some(copy))),
            None => CopyEnd::Missed,
        }
    }

    /// The same for one that is handed back.
    pub(super) fn end_undelivered(
        &self,
        shared: &Arc<Shared>,
        undelivered: Undelivered<M>,
    ) -> CopyEnd {
        let (reason, copy) = undelivered.into_parts();
        let end = match &reason {
            SendError::Closed { .. }
            | SendError::Stopped
            | SendError::NoSubsystem { .. }
            | SendError::NoRoute { .. }
            | SendError::WrongMessage { .. } => CopyEnd::Closed,
            _ => {
                self.bury(shared, &reason);
                CopyEnd::Missed
            }
        };
        // A panic of its drop is no reason for the others to get none.
        discard(copy);
        end
    }

    /// Makes a dead letter of a copy that it missed.
    fn bury(&self, shared: &Arc<Shared>, reason: &SendError) {
        let reason = DeadReason::Missed(reason.to_string().into());
        match self {
            Recipient::Route(receiver) => {
                let (route, handler) = receiver.pack.numbers();
                let sent = shared.clock.now();
                let local = Local::of(&shared.pool);
                let letter = Letter {
                    route,
                    handler,
                    sender: local.serving(),
                    sent,
                    trace: match local.trace() {
                        0 => TraceId::of_first(sent.0, 0),
                        trace => TraceId(trace),
                    },
                };
                shared.bury(&receiver.mailbox, &receiver.mounted.map, letter, reason);
            }
            Recipient::Handle(parts) => Route::of_parts(shared, parts).bury(reason),
            // It counts what it misses.
            Recipient::Stream(_) => {}
        }
    }
}

impl<M: Message> Receiver<M> {
    pub(super) fn new(mounted: &Arc<Mounted>, route: u16) -> Option<Self> {
        let entry = mounted.map.routes.get(usize::from(route))?;
        Some(Receiver {
            mailbox: mounted.mailbox.clone(),
            mounted: mounted.clone(),
            pack: entry.pack::<M>()?.clone(),
            route,
        })
    }

    #[inline(always)]
    pub(super) fn send(
        &self,
        shared: &Shared,
        topic: Topic<'_>,
        copy: &mut Option<M>,
    ) -> Result<(), Failed> {
        let mut address = Address::new(Source::Path(topic.captures), topic.query);
        if self.mounted.group().is_some() {
            return self.send_to_one(shared, &mut address, copy);
        }
        if self.mailbox.table() != self.mounted.map.id {
            // It was unmounted, and its name may be another's.
            return Err(self.closed());
        }
        self.send_to(shared, &self.mounted, &mut address, copy)
    }

    /// Sends to one of replicas, which may be resized meanwhile.
    fn send_to_one(
        &self,
        shared: &Shared,
        address: &mut Address<'_>,
        copy: &mut Option<M>,
    ) -> Result<(), Failed> {
        loop {
            let face = match self.mounted.is_gone() {
                false => self.mounted.clone(),
                // The name as it is since it was resized.
                true => shared
                    .directory
                    .get(&self.mailbox.name)
                    .ok_or_else(|| self.closed())?,
            };
            let is_same = face.map.id == self.mounted.map.id;
            let Some(group) = face.group().filter(|_| is_same) else {
                return Err(self.closed());
            };
            let chosen = choose(group, self.route, address)?;
            let sent = self.send_to(shared, chosen, address, copy);
            if !is_to_be_tried_again(shared, &face, chosen, &sent) {
                return sent;
            }
            address.rewind();
        }
    }

    #[inline(always)]
    fn send_to(
        &self,
        shared: &Shared,
        mounted: &Arc<Mounted>,
        address: &mut Address<'_>,
        copy: &mut Option<M>,
    ) -> Result<(), Failed> {
        let target = Target {
            mailbox: &mounted.mailbox,
            table: mounted.map.id,
            map: &mounted.map,
            pack: &*self.pack,
            priority: M::PRIORITY,
            always_waits: false,
        };
        let text = || mounted.map.routes[usize::from(self.route)].path(&mounted.mailbox.name);
        target.send(shared, address, copy, None, text)
    }

    #[cold]
    fn closed(&self) -> Failed {
        let subsystem = self.mailbox.name.clone();
        Failed::refused(SendError::Closed { subsystem })
    }
}

/// Calls `f` with captures as a handle takes them.
fn with_captures<R>(captures: &Captures<'_>, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
    if captures.has_escapes() {
        let texts = Vec::from_iter(captures.iter());
        return f(&Vec::from_iter(
            texts.iter().map(|text| Capture::Text(text)),
        ));
    }
    let raw = |at| Capture::Text(captures.raw(at).unwrap_or_default());
    let all: [Capture<'_>; mycelia_core::MAX_CAPTURES] = std::array::from_fn(raw);
    f(&all[..captures.len()])
}
