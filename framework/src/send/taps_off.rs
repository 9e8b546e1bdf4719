//! No taps: a message goes straight on its way. It stands in for `taps.rs` without the feature `test`.

use super::Target;
use crate::envelope::mark::Mark;
use crate::route::extract::Address;
use crate::route::{Post, Posted, Refused};
use crate::runtime::shared::Shared;
use crate::thread::Local;
use crate::words::message::Message;

impl<M: Message> Target<'_, M> {
    #[inline(always)]
    pub(super) fn finds_full(&self, _: &Shared, _: &Local, _: &Address<'_>) -> bool {
        false
    }

    #[inline(always)]
    pub(super) fn mark(&self, _: &Shared, _: &Address<'_>) -> Mark {
        Mark
    }

    #[inline(always)]
    pub(super) fn post_tapped(
        &self,
        _: &Shared,
        message: &mut Option<M>,
        address: &mut Address<'_>,
        post: &Post<'_>,
    ) -> Result<Posted, Refused> {
        self.pack.post(message, address, post)
    }

    #[inline(always)]
    pub(super) fn tape_dropped(&self, _: &Shared, _: &Local, _: &Option<M>, _: &Address<'_>) {}
}
