//! What a host does with the orders that it is given. `orders → `**`obey`**` → life`
//!
//! Promise: two values of one subsystem never live at once. An order that ends the value is put off while a
//! blocking call of that value runs on its own thread; the call's message ends at once. A stop that has run
//! out of time waits for no call.

use super::batch::TurnBatch;
use super::life::Life;
use super::turn::Service;
use super::{HostEnv, HostState};
use crate::base::sync::Ordering;
use crate::mailbox::orders::{Control, Order};
use crate::words::events::EndReason;
use crate::words::supervision::{Failure, Restart};

impl<S: 'static> HostState<S> {
    /// Does what has been ordered, as far as that goes now.
    #[cold]
    pub(super) fn obey(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) {
        for control in std::mem::take(&mut self.lifecycle().controls) {
            if self.ends_value(env, &control) && self.is_away(env, batch) {
                // What comes after it may be an end that waits for nothing.
                self.lifecycle().controls.push_back(control);
            } else {
                self.follow(env, control, batch);
            }
        }
    }

    /// True for an order after which the subsystem has another value, or none.
    fn ends_value(&self, env: &HostEnv<S>, control: &Control) -> bool {
        match control {
            Control::Fail(_) | Control::Halt(_) | Control::Restart(_) => true,
            Control::TaskPanicked { life, .. } | Control::ReplyFailed { life, .. } => {
                self.has_value_of(env, *life)
            }
            Control::Stop => env.mounted.policy().restart == Restart::Permanent,
            // A call that is given up is not waited for.
            Control::GiveUp(_)
            | Control::End { .. }
            | Control::Revive { .. }
            | Control::Pause { .. }
            | Control::Clear(_)
            | Control::Spawn(_)
            | Control::Wake(_) => false,
        }
    }

    /// True while a blocking call has the value, whose message is ended; unless there is no time to wait for
    /// its return.
    fn is_away(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) -> bool {
        if self.order == Order::Abort || !self.slot.runner.blocks() {
            return false;
        }
        if let Some(service) = self.in_service.replace(Service::Returning) {
            self.end_cut_off(env, service, batch);
        }
        true
    }

    fn follow(&mut self, env: &HostEnv<S>, control: Control, batch: &mut TurnBatch<'_>) {
        match control {
            Control::End {
                order,
                reason,
                ended,
            } => {
                self.order = self.order.max(order);
                let lifecycle = self.lifecycle();
                lifecycle.reason.get_or_insert(reason);
                lifecycle.ended.extend(ended);
            }
            Control::Stop => self.stop_itself(env, batch),
            Control::Spawn(_) | Control::Wake(_) => unreachable!("it is done when it comes"),
            Control::Restart(done) => self.restart(env, done, batch),
            Control::Pause { pauses, done } => self.pause(env, pauses, done),
            Control::Clear(done) => {
                let count = self.clear_mailbox(env, batch);
                let _ = done.send(count);
            }
            Control::Fail(failure) | Control::GiveUp(failure) if self.order != Order::Abort => {
                self.interrupt(env, batch);
                self.fail(env, failure);
            }
            Control::Fail(_) | Control::GiveUp(_) => {}
            Control::ReplyFailed { life, text } => {
                if self.has_value_of(env, life) {
                    self.interrupt(env, batch);
                    self.fail(env, Failure::Error(text));
                }
            }
            Control::TaskPanicked { life, text } if self.has_value_of(env, life) => {
                self.interrupt(env, batch);
                match self.startup {
                    Some(_) => self.start_failed(env, &text),
                    None => self.fail(env, Failure::Task((*text).into())),
                }
            }
            Control::TaskPanicked { text, .. } => {
                let text = format!("a timer or a stream of an earlier value panicked: {text}");
                env.mounted.note_failure(text.into());
            }
            Control::Halt(done) => {
                self.interrupt(env, batch);
                if !matches!(self.life, Life::Halted) {
                    env.mounted.life.go_down();
                    self.call_stopped(env, EndReason::Stopped);
                    self.drop_value(env);
                    self.life = Life::Halted;
                }
                let _ = done.send(());
            }
            Control::Revive { failure, done } => {
                if matches!(self.life, Life::Halted) && self.order != Order::Abort {
                    let lifecycle = self.lifecycle();
                    lifecycle.revived.push(done);
                    lifecycle.cause = Some(failure);
                    self.remake(env);
                }
            }
        }
    }

    /// True if the subsystem has the value that `life` restarts had been before.
    fn has_value_of(&self, env: &HostEnv<S>, life: u32) -> bool {
        matches!(self.life, Life::Running | Life::Paused | Life::Starting(_))
            && self.order != Order::Abort
            && env.mounted.restarts.load(Ordering::Relaxed) == life
    }

    fn stop_itself(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) {
        if env.mounted.policy().restart == Restart::Permanent {
            self.interrupt(env, batch);
            self.call_stopped(env, EndReason::Stopped);
            self.fail(env, Failure::Stopped);
        } else {
            self.order = self.order.max(Order::Drain);
            self.lifecycle().reason.get_or_insert(EndReason::Stopped);
        }
    }

    /// Ends what is under way, if anything is.
    pub(super) fn interrupt(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) {
        if let Some(service) = self.in_service.take() {
            self.cut_off(env, service, batch);
        }
    }
}
