//! What a host does with the orders that it is given. `orders → `**`obey`**` → life`
//!
//! Promise: two values of one subsystem never live at once. An order that ends the value is put off while a
//! blocking call of that value runs on its own thread; the call's message ends at once. A stop that has run
//! out of time waits for no call.

use super::gathered::Gathered;
use super::life::Life;
use super::turn::Service;
use super::{Resident, Works};
use crate::base::sync::Ordering;
use crate::mailbox::orders::{Control, Order};
use crate::words::events::EndReason;
use crate::words::supervision::{Failure, Restart};

impl<S: 'static> Resident<S> {
    /// Does what has been ordered, as far as that goes now.
    #[cold]
    pub(super) fn obey(&mut self, works: &Works<S>, gathered: &mut Gathered<'_>) {
        for control in std::mem::take(&mut self.affairs().controls) {
            if self.ends_value(works, &control) && self.is_away(works, gathered) {
                // What comes after it may be an end that waits for nothing.
                self.affairs().controls.push_back(control);
            } else {
                self.follow(works, control, gathered);
            }
        }
    }

    /// True for an order after which the subsystem has another value, or none.
    fn ends_value(&self, works: &Works<S>, control: &Control) -> bool {
        match control {
            Control::Fail(_) | Control::Halt(_) => true,
            Control::TaskPanicked { life, .. } => self.has_task_of(works, *life),
            Control::Stop => works.mounted.policy().restart == Restart::Permanent,
            Control::End { .. } | Control::Revive { .. } | Control::Spawn(_) | Control::Wake(_) => {
                false
            }
        }
    }

    /// True while a blocking call has the value, whose message is ended; unless there is no time to wait for
    /// its return.
    fn is_away(&mut self, works: &Works<S>, gathered: &mut Gathered<'_>) -> bool {
        if self.order == Order::Abort || !self.desk.runner.blocks() {
            return false;
        }
        if let Some(service) = self.in_service.replace(Service::Returning) {
            self.end_cut_off(works, service, gathered);
        }
        true
    }

    fn follow(&mut self, works: &Works<S>, control: Control, gathered: &mut Gathered<'_>) {
        match control {
            Control::End {
                order,
                reason,
                ended,
            } => {
                self.order = self.order.max(order);
                let affairs = self.affairs();
                affairs.reason.get_or_insert(reason);
                affairs.ended.extend(ended);
            }
            Control::Stop => self.stop_itself(works, gathered),
            Control::Spawn(_) | Control::Wake(_) => unreachable!("it is done when it comes"),
            Control::Fail(failure) if self.order != Order::Abort => {
                self.interrupt(works, gathered);
                self.fail(works, failure);
            }
            Control::Fail(_) => {}
            Control::TaskPanicked { life, text } if self.has_task_of(works, life) => {
                self.interrupt(works, gathered);
                match self.standing {
                    Some(_) => self.start_failed(works, &text),
                    None => self.fail(works, Failure::Task((*text).into())),
                }
            }
            Control::TaskPanicked { text, .. } => {
                let text = format!("a timer or a stream of an earlier value panicked: {text}");
                works.mounted.note_failure(text.into());
            }
            Control::Halt(done) => {
                self.interrupt(works, gathered);
                if !matches!(self.life, Life::Halted) {
                    works.mounted.set_down(true);
                    self.call_stopped(works, EndReason::Stopped);
                    self.drop_value(works);
                    self.life = Life::Halted;
                }
                let _ = done.send(());
            }
            Control::Revive { failure, done } => {
                if matches!(self.life, Life::Halted) && self.order != Order::Abort {
                    let affairs = self.affairs();
                    affairs.revived.push(done);
                    affairs.cause = Some(failure);
                    self.remake(works);
                }
            }
        }
    }

    /// True if the subsystem has the value that `life` restarts had been before.
    fn has_task_of(&self, works: &Works<S>, life: u32) -> bool {
        matches!(self.life, Life::Running | Life::Starting(_))
            && self.order != Order::Abort
            && works.mounted.restarts.load(Ordering::Relaxed) == life
    }

    fn stop_itself(&mut self, works: &Works<S>, gathered: &mut Gathered<'_>) {
        if works.mounted.policy().restart == Restart::Permanent {
            self.interrupt(works, gathered);
            self.call_stopped(works, EndReason::Stopped);
            self.fail(works, Failure::Stopped);
        } else {
            self.order = self.order.max(Order::Drain);
            self.affairs().reason.get_or_insert(EndReason::Stopped);
        }
    }

    /// Ends what is under way, if anything is.
    fn interrupt(&mut self, works: &Works<S>, gathered: &mut Gathered<'_>) {
        if let Some(service) = self.in_service.take() {
            self.cut_off(works, service, gathered);
        }
    }
}
