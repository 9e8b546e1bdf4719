//! The other ends of a message than being handled. `turn → `**`ends`**` → gathered, dead letters`

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Works;
use super::gathered::Gathered;
use crate::clock::Stamp;
use crate::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::handler::Unanswered;
use crate::ledger::Ending;
use crate::shared::Letter;

/// Puts in, instead of a message that no handler took, what its asker is to find.
#[cold]
pub(super) fn put_failure(envelope: &mut Envelope<'_>, failure: Unanswered) {
    // The message's own drop may panic.
    let _ = catch_unwind(AssertUnwindSafe(|| envelope.clear()));
    envelope.put(failure);
}

pub(super) fn bury<S>(works: &Works<S>, envelope: &Envelope<'_>, reason: DeadReason) {
    let mounted = &works.mounted;
    let letter = Letter::of(envelope);
    works
        .shared
        .bury(&mounted.seat, &mounted.map, letter, reason);
}

/// Ends a message whose deadline has passed, or whose asker has gone, before its handler began.
#[cold]
pub(super) fn expire<S>(works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered<'_>) {
    // Its asker is told, or has gone by its own will.
    if envelope.head().is_ask {
        put_failure(&mut envelope, Unanswered::Expired);
    } else {
        bury(works, &envelope, DeadReason::Expired);
    }
    gathered.close(works, envelope, Ending::Expired);
}

/// Ends a message that no handler takes.
#[cold]
pub(super) fn reject<S>(works: &Works<S>, mut envelope: Envelope<'_>, gathered: &mut Gathered<'_>) {
    if envelope.head().is_ask {
        put_failure(&mut envelope, Unanswered::Unhandled);
    } else {
        bury(works, &envelope, DeadReason::Undeliverable);
    }
    gathered.close(works, envelope, Ending::Undeliverable);
}

/// Ends a message whose handler returned an error.
#[cold]
pub(super) fn failed<S>(
    works: &Works<S>,
    envelope: Envelope<'_>,
    started: Stamp,
    text: String,
    gathered: &mut Gathered<'_>,
) {
    if !envelope.head().is_ask {
        bury(works, &envelope, DeadReason::Failed(text.as_str().into()));
    }
    works.mounted.note_failure(text.into());
    gathered.sample(works, &envelope, started);
    gathered.close(works, envelope, Ending::Failed);
}
