//! No checks of custody. It replaces `custody.rs` without the feature `test`.

use crate::envelope::token::{Chain, Links, Token};

pub(super) struct Custody;

impl Custody {
    #[inline(always)]
    pub(super) fn new(_: u32) -> Self {
        Custody
    }

    #[inline(always)]
    pub(super) fn take(&self, _: &Token) {}

    #[inline(always)]
    pub(super) fn give_back(&self, _: &Links, chain: Chain) -> (Chain, Option<Chain>) {
        (chain, None)
    }
}
