//! What follows when a handler was cut off, its route's time being up. `turn → `**`out_of_time`**` → batch`

use super::batch::TurnBatch;
use super::ends::{bury, put_failure};
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::books::dead_letters::DeadReason;
use crate::envelope::{Envelope, Unanswered};
use crate::words::ledger::Ending;
use crate::words::supervision::Failure;

impl<S: 'static> HostState<S> {
    /// Ends a message whose handler was cut off. The subsystem is there, as the handler has left it.
    #[cold]
    pub(super) fn out_of_time(
        &mut self,
        env: &HostEnv<S>,
        mut envelope: Envelope<'_>,
        started: Stamp,
        batch: &mut TurnBatch<'_>,
    ) {
        let head = envelope.head();
        let handler = env.handlers.handlers.get(usize::from(head.handler));
        let within = handler.and_then(|it| it.within()).unwrap_or_default();
        let text = format!("a handler was cut off after {within:?}");
        let fails = env.mounted.policy().on_error.then(|| text.as_str().into());
        if head.is_ask {
            put_failure(&mut envelope, Unanswered::CutOff(within));
        } else {
            bury(env, &envelope, DeadReason::CutOff { within });
        }
        self.change();
        env.mounted.note_failure(text.into());
        batch.sample(env, &envelope, started);
        batch.close(env, envelope, Ending::Failed);
        if let Some(text) = fails {
            self.fail(env, Failure::Error(text));
        }
    }
}
