//! What the test kit does to a message on its way: faults are drawn, and it is recorded.
//!
//! `taps_off.rs` is its stand-in without the feature `test`.

use std::any::{Any, type_name};
use std::time::Duration;

use super::Target;
use crate::envelope::mark::Mark;
use crate::route::extract::Address;
use crate::route::{Post, Posted, Refused};
use crate::runtime::shared::Shared;
use crate::runtime::taps::{Given, Line, Tape, write_path};
use crate::thread::Local;
use crate::words::message::Message;

/// How soon a sender tries again that found a mailbox full which was not.
const AGAIN: Duration = Duration::from_millis(1);

impl<M: Message> Target<'_, M> {
    fn path(&self, address: &Address<'_>) -> String {
        let (route, _) = self.pack.numbers();
        let pattern = &self.map.routes[usize::from(route)].pattern;
        write_path(
            &self.mailbox.name,
            pattern,
            &Given::all_of(address),
            address.query(),
        )
    }

    /// True if this attempt is to find the mailbox full, though it is not.
    #[inline]
    pub(super) fn finds_full(&self, shared: &Shared, local: &Local, address: &Address<'_>) -> bool {
        shared.taps.faults.are_set() && self.draws_full(shared, local, address)
    }

    #[cold]
    fn draws_full(&self, shared: &Shared, local: &Local, address: &Address<'_>) -> bool {
        if shared.is_closed_to(local.serving()) || self.mailbox.inbox.is_closed() {
            return false;
        }
        if !shared.taps.faults.finds_full(&self.path(address)) {
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

    /// The mark of a message to this address.
    #[inline]
    pub(super) fn mark(&self, shared: &Shared, address: &Address<'_>) -> Mark {
        match shared.taps.faults.are_set() {
            true => self.draw_mark(shared, address),
            false => Mark::NONE,
        }
    }

    #[cold]
    fn draw_mark(&self, shared: &Shared, address: &Address<'_>) -> Mark {
        shared.taps.faults.mark(&self.path(address))
    }

    fn line(
        &self,
        tape: &Tape,
        shared: &Shared,
        sender: u32,
        message: &Option<M>,
        address: &Address<'_>,
    ) -> Option<serde_json::Result<Line>> {
        let message: &dyn Any = message.as_ref()?;
        let from = match sender {
            0 => None,
            sender => shared.directory.name_of(sender),
        };
        let from = from.map(|from| from.to_string());
        tape.line(message, self.priority, || self.path(address), from)
    }

    /// Packs and pushes a message, and records it if that is wanted and it was accepted.
    #[inline]
    pub(super) fn post_tapped(
        &self,
        shared: &Shared,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused> {
        match shared.taps.tape() {
            None => self.pack.post(message, address, post),
            Some(tape) => self.post_taped(&tape, shared, message, address, post),
        }
    }

    #[cold]
    fn post_taped(
        &self,
        tape: &Tape,
        shared: &Shared,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused> {
        let sender = post.local.serving();
        let line = self.line(tape, shared, sender, message, address);
        let taping = tape.begin();
        let posted = self.pack.post(message, address, post);
        if posted.is_ok() {
            taping.keep(type_name::<M>(), line);
        }
        posted
    }

    /// Records a message that counts as sent, and is dropped for want of room.
    #[cold]
    pub(super) fn tape_dropped(
        &self,
        shared: &Shared,
        local: &Local,
        message: &Option<M>,
        address: &Address<'_>,
    ) {
        if let Some(tape) = shared.taps.tape() {
            let line = self.line(&tape, shared, local.serving(), message, address);
            tape.begin().keep(type_name::<M>(), line);
        }
    }
}
