//! No faults at the host: no message is marked. It stands in for `injected.rs` without the feature `test`.

use std::convert::Infallible;
use std::task::Context;

use super::batch::TurnBatch;
use super::turn::Service;
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::envelope::Envelope;
use crate::route::handler::AtHand;

/// No message is held back: no value of this type exists.
pub(super) struct Delayed(Infallible);

/// What a message met.
#[allow(dead_code, reason = "it always is the first")]
pub(super) enum Met<'w> {
    Nothing(Envelope<'w>),
    Dropped,
    Delayed,
}

impl<S: 'static> HostState<S> {
    #[inline(always)]
    pub(super) fn meet_fault<'w>(
        &mut self,
        _: &HostEnv<S>,
        envelope: Envelope<'w>,
        _: Stamp,
        _: &mut TurnBatch<'_>,
        _: &mut AtHand<'w>,
    ) -> Met<'w> {
        Met::Nothing(envelope)
    }

    #[inline(always)]
    pub(super) fn go_on_delaying(
        &mut self,
        _: &HostEnv<S>,
        _: &mut Context<'_>,
        delayed: Delayed,
    ) -> Option<Service> {
        match delayed.0 {}
    }
}

#[inline(always)]
pub(super) fn without_delay<S>(_: &HostEnv<S>, service: Service) -> Service {
    service
}
