//! What follows from how a handler ended: the message's end, and the subsystem's, under its policy.
//! `turn → `**`outcome`**` → batch`

use super::batch::TurnBatch;
use super::ends::{bury, failed, put_failure, reject};
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::books::dead_letters::DeadReason;
use crate::envelope::Envelope;
use crate::envelope::Unanswered;
use crate::route::handler::Called;
use crate::words::ledger::Ending;
use crate::words::supervision::Failure;

impl<S: 'static> HostState<S> {
    /// Ends a message whose handler was called, and has ended.
    pub(super) fn finish(
        &mut self,
        env: &HostEnv<S>,
        envelope: Envelope<'_>,
        started: Stamp,
        called: Called,
        batch: &mut TurnBatch<'_>,
    ) {
        match called {
            Called::Handled => {
                batch.sample(env, &envelope, started);
                batch.close(env, envelope, Ending::Handled);
                self.change();
            }
            Called::Later => self.keep(env, envelope.into_token()),
            Called::Failed => {
                self.change();
                let text = std::mem::take(&mut self.slot.failure).into_string();
                let fails = env.mounted.policy().on_error.then(|| text.as_str().into());
                failed(env, envelope, started, text, batch);
                if let Some(text) = fails {
                    self.fail(env, Failure::Error(text));
                }
            }
            Called::Panicked => {
                let panic = self.slot.panic.take();
                let message = panic.unwrap_or_else(|| "a panic".into());
                self.panicked(env, envelope, started, message, batch);
            }
            Called::CutOff => self.out_of_time(env, envelope, started, batch),
            Called::WrongParcel | Called::Running => reject(env, envelope, batch),
        }
    }

    #[cold]
    pub(super) fn panicked(
        &mut self,
        env: &HostEnv<S>,
        mut envelope: Envelope<'_>,
        started: Stamp,
        message: Box<str>,
        batch: &mut TurnBatch<'_>,
    ) {
        self.end_waits_of_ended(env);
        batch.sample(env, &envelope, started);
        // Unless its policy says otherwise, the subsystem is there again before the asker hears of it.
        self.fail(env, Failure::Panic((*message).into()));
        if envelope.head().is_ask {
            put_failure(&mut envelope, Unanswered::Panicked(message));
        } else {
            bury(env, &envelope, DeadReason::Panicked((*message).into()));
        }
        batch.close(env, envelope, Ending::Failed);
    }
}
