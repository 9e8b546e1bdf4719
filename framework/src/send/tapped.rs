//! What a tap has to say to a message on its way: whether it finds room, what is written on its envelope, and that
//! it was accepted.

use std::any::type_name;
use std::time::Duration;

use super::Target;
use crate::mailbox::MailboxId;
use crate::route::extract::{Address, Capture, Source};
use crate::route::{Post, Posted, Refused};
use crate::runtime::shared::Shared;
use crate::thread::Local;
use crate::words::message::Message;
use crate::words::tap::{Given, Mark, Outgoing, Tap};

/// How soon a sender tries again that found a mailbox full which was not.
const AGAIN: Duration = Duration::from_millis(1);

impl<M: Message> Target<'_, M> {
    fn outgoing<'o>(
        &'o self,
        shared: &Shared,
        sender: MailboxId,
        message: &'o M,
        address: &'o Address<'_>,
    ) -> Outgoing<'o> {
        let (route, _) = self.pack.numbers();
        Outgoing {
            subsystem: &self.mailbox.name,
            pattern: &self.map.routes[usize::from(route)].pattern,
            captures: given(address),
            query: address.query(),
            sender: match sender {
                0 => None,
                sender => shared.directory.name_of(sender),
            },
            priority: self.priority,
            type_name: type_name::<M>(),
            message,
        }
    }

    /// True if this attempt is to find the mailbox full, though it is not.
    #[inline(always)]
    pub(super) fn is_to_find_full(
        &self,
        shared: &Shared,
        local: &Local,
        address: &Address<'_>,
        message: &Option<M>,
    ) -> bool {
        match (shared.tap.active(), message) {
            (Some(tap), Some(message)) => self.asks_full(tap, shared, local, address, message),
            _ => false,
        }
    }

    #[cold]
    fn asks_full(
        &self,
        tap: &dyn Tap,
        shared: &Shared,
        local: &Local,
        address: &Address<'_>,
        message: &M,
    ) -> bool {
        if shared.is_closed_to(local.serving()) || self.mailbox.inbox.is_closed() {
            return false;
        }
        let outgoing = self.outgoing(shared, local.serving(), message, address);
        if !tap.finds_full(&outgoing) {
            return false;
        }
        // No message ends that would wake a sender who waits for room.
        let mailbox = self.mailbox.clone();
        shared.keepers.spawn(async move {
            tokio::time::sleep(AGAIN).await;
            mailbox.wake_next();
        });
        true
    }

    /// Packs and pushes a message, and tells the tap if it was accepted.
    #[cold]
    pub(super) fn post_tapped(
        &self,
        tap: &dyn Tap,
        shared: &Shared,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: Post<'_>,
    ) -> Result<Posted, Refused> {
        let Some(outgoing) = message else {
            return self.pack.post(message, address, &post);
        };
        let sender = post.local.serving();
        let passing = tap.sending(&self.outgoing(shared, sender, outgoing, address));
        let mark = Mark::new(passing.mark);
        let posted = self.pack.post(message, address, &Post { mark, ..post });
        if posted.is_ok()
            && let Some(accepted) = passing.accepted
        {
            accepted();
        }
        posted
    }

    /// Tells the tap of a message that counts as sent, and is dropped for want of room.
    #[cold]
    pub(super) fn tap_dropped(
        &self,
        shared: &Shared,
        local: &Local,
        message: &Option<M>,
        address: &Address<'_>,
    ) {
        if let (Some(tap), Some(message)) = (shared.tap.active(), message) {
            tap.dropped(&self.outgoing(shared, local.serving(), message, address));
        }
    }
}

/// All captures of an address; reads none.
pub(crate) fn given(address: &Address<'_>) -> Vec<Given> {
    match address.source {
        Source::Path(captures) => (0..captures.len())
            .filter_map(|index| captures.raw(index))
            .map(|text| Given::Written(text.into()))
            .collect(),
        Source::Values(values) => (values.iter())
            .map(|value| match value {
                Capture::Text(text) => Given::Value((*text).into()),
                Capture::Unsigned(n) => Given::Value(n.to_string().into()),
                Capture::Signed(n) => Given::Value(n.to_string().into()),
            })
            .collect(),
    }
}
