//! What a host does when it is told to restart, to pause, to go on, or to clear its mailbox. `orders → `**`manage`**` →
//! life`
//!
//! Promise: nothing of it loses a message unsaid. A restart keeps what waits, a pause keeps it and lets it
//! expire, and what is cleared ends as dropped, each told or a dead letter.

use std::time::Duration;

use tokio::sync::oneshot;

use super::batch::TurnBatch;
use super::ends::tell_or_bury;
use super::life::Life;
use super::{HostEnv, HostState};
use crate::books::dead_letters::DeadReason;
use crate::envelope::{Envelope, Unanswered};
use crate::mailbox::orders::{Order, Reported};
use crate::runtime::shared::Phase;
use crate::words::events::EndReason;
use crate::words::ledger::Ending;
use crate::words::supervision::Failure;

impl<S: 'static> HostState<S> {
    /// Restarts the subsystem; `done` is told when it is there, or dropped if it can't be or has failed again.
    pub(super) fn restart(
        &mut self,
        env: &HostEnv<S>,
        done: oneshot::Sender<()>,
        batch: &mut TurnBatch<'_>,
    ) {
        if self.order != Order::Serve || self.startup.is_some() {
            return;
        }
        self.interrupt(env, batch);
        let is_there = matches!(self.life, Life::Running | Life::Paused | Life::Starting(_));
        if is_there {
            env.mounted.life.go_down();
        }
        let is_alone = env.mounted.restarts_alone();
        if is_there {
            self.call_stopped(env, EndReason::Stopped);
            self.drop_value(env);
            self.lifecycle().cause = Some(Failure::Requested);
        }
        match self.life {
            // The registry restarts it with others already.
            Life::Halted => self.lifecycle().revived.push(done),
            _ if is_alone || matches!(self.life, Life::Pausing(_)) => {
                // What a pausing one failed of stays the cause, and it waits no longer.
                self.lifecycle().revived.push(done);
                self.remake(env);
            }
            _ => {
                // The registry may be waiting for this very start, as part of another restart: it handles the next
                // report only after that.
                self.lifecycle().revived = vec![done];
                self.life = Life::Halted;
                let what = Reported::Failed {
                    failure: Failure::Requested,
                    after: Duration::ZERO,
                };
                env.shared.report(&env.mounted, what);
            }
        }
    }

    /// Begins no further message, or goes on; `done` is dropped if it is draining.
    pub(super) fn pause(&mut self, env: &HostEnv<S>, pauses: bool, done: oneshot::Sender<()>) {
        let drains = self.order != Order::Serve || env.shared.phase() != Phase::Open;
        if pauses && drains {
            return;
        }
        env.mounted.set_paused(pauses);
        match (pauses, &self.life) {
            (true, Life::Running) => self.life = Life::Paused,
            (false, Life::Paused) => self.life = Life::Running,
            // It is down, or starts: what comes then is as the mark says.
            _ => {}
        }
        let _ = done.send(());
    }

    /// Ends all that waits; how many that were.
    pub(super) fn clear_mailbox(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) -> u64 {
        let mut all = self.take_out(env, |token| (token, true));
        let count = u64::from(all.len());
        // Their drops are the user's: not before all is in its place again.
        while let Some(token) = all.pop_front(&env.shared.pool.links) {
            let mut envelope = Envelope::new(&env.shared.pool.slab, token);
            tell_or_bury(env, &mut envelope, Unanswered::Cleared, DeadReason::Cleared);
            batch.close(env, envelope, Ending::Dropped);
        }
        count
    }
}
