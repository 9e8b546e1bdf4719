//! Routes that take a message only if it is admitted. `send → `**`route`**` → envelope`
//!
//! The route map of one mount: the same routes and handlers, and before some of them an [`Admission`]. Only messages
//! for those routes pass it; all others travel as without.

use std::fmt;
use std::sync::Arc;

use super::pack::{Pack, Post, Posted, Refused};
use super::{RouteEntry, RouteMap, RouteMessage};
use crate::base::user_code::Contained;
use crate::route::extract::{Address, Rejection};
use crate::words::admission::Admission;
use crate::words::error::{CaptureError, MountError, Room};
use crate::words::message::Message;

/// Admissions by the pattern of their route.
#[derive(Clone, Default)]
pub(crate) struct Admissions(Vec<(Arc<str>, SharedAdmission)>);

/// An admission. Its drop is user code.
type SharedAdmission = Contained<Arc<dyn Admission>>;

impl Admissions {
    pub(crate) fn add(&mut self, pattern: Arc<str>, admission: impl Admission) {
        self.0.push((pattern, Contained::new(Arc::new(admission))));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Admissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.0.iter().map(|(pattern, _)| pattern);
        f.debug_list().entries(patterns).finish()
    }
}

impl RouteMap {
    /// The same routes under another number, with these admissions.
    pub(crate) fn admitting(&self, id: u32, admissions: &Admissions) -> Result<Self, MountError> {
        let mut routes: Vec<_> = self.routes.iter().map(RouteEntry::again).collect();
        for (pattern, admission) in &admissions.0 {
            let Some(at) = self.position(pattern) else {
                return Err(MountError::NoRoute {
                    subsystem: Box::default(),
                    pattern: (**pattern).into(),
                });
            };
            for message in &mut routes[at].messages {
                *message = (message.admitted)(message, admission);
            }
        }
        Ok(RouteMap {
            id,
            type_name: self.type_name,
            router: self.router.clone(),
            routes,
            messages: self.messages.clone(),
            books: self.books.clone(),
        })
    }

    fn position(&self, pattern: &str) -> Option<usize> {
        let route = self.by_pattern(pattern)?;
        self.routes.iter().position(|one| std::ptr::eq(one, route))
    }
}

impl RouteEntry {
    fn again(&self) -> Self {
        RouteEntry {
            pattern: self.pattern.clone(),
            text: self.text.clone(),
            topic: self.topic.clone(),
            messages: self.messages.iter().map(RouteMessage::again).collect(),
        }
    }
}

impl RouteMessage {
    pub(super) fn new<M: Message>(pack: Arc<dyn Pack<M>>) -> Self {
        RouteMessage {
            id: std::any::TypeId::of::<M>(),
            name: std::any::type_name::<M>(),
            pack: Box::new(pack),
            again: |one| Self::new(one.pack_of::<M>()),
            admitted: |one, admission| {
                Self::new::<M>(Arc::new(AdmittedPack {
                    pack: one.pack_of::<M>(),
                    admission: Contained::new(admission.clone()),
                }))
            },
        }
    }

    fn again(&self) -> Self {
        (self.again)(self)
    }

    fn pack_of<M: Message>(&self) -> Arc<dyn Pack<M>> {
        let pack = self.pack.downcast_ref::<Arc<dyn Pack<M>>>();
        pack.expect("it was made for this type").clone()
    }
}

/// Packs messages that are admitted.
struct AdmittedPack<M> {
    pack: Arc<dyn Pack<M>>,
    admission: SharedAdmission,
}

impl<M: Message> Pack<M> for AdmittedPack<M> {
    fn post(
        &self,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused> {
        // A sender that waits for room tries often: it is admitted when there is some.
        if post.mailbox.inbox.is_closed() || post.mailbox.is_full(post.mailbox.capacity()) {
            return Err(Refused::Full(Room::Mailbox));
        }
        // No envelope is held while user code runs. A panic unwinds to the sender; nothing was sent.
        match self.admission.admit(post.clock) {
            Ok(()) => self.pack.post(message, address, post),
            Err(retry_after) => {
                address.rejection = Some(Rejection::NotAdmitted(retry_after));
                Err(Refused::NotAdmitted)
            }
        }
    }

    fn check(&self, address: &mut Address<'_>) -> Result<(), CaptureError> {
        self.pack.check(address)
    }

    fn captures(&self) -> usize {
        self.pack.captures()
    }

    fn numbers(&self) -> (u16, u16) {
        self.pack.numbers()
    }

    fn unconditional(&self) -> Option<Arc<dyn Pack<M>>> {
        let inner = self.pack.unconditional();
        Some(inner.unwrap_or_else(|| self.pack.clone()))
    }
}
