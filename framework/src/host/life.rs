//! The life of a subsystem in its host: start, failure, pause, restart, end. `orders → `**`life`**` → turn`
//!
//! What the keepers order comes through the actix mailbox and is obeyed at the start of the next turn.
//! What happens after a failure the host decides itself, by its policy, if nobody else is concerned;
//! else it halts and reports to the registry.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use super::gathered::Gathered;
use super::standing::Standing;
use super::turn::Service;
use super::{Resident, Works};
use crate::clock::Stamp;
use crate::events::{Change, EndReason};
use crate::extract::Delivery;
use crate::handler::Called;
use crate::handler::hooks::Hook;
use crate::mailbox::orders::{Control, Order, Reported};
use crate::supervision::{Decision, Failure, Restart};
use crate::sync::Ordering;
use crate::user_code::{contain, discard};

/// Where a subsystem is in its life.
pub(super) enum Life {
    /// Its value is there; this hook is to be called, and what follows on it.
    Starting(Hook),
    /// It handles messages.
    Running,
    /// It failed, and is made anew when the time has come.
    Pausing(Pin<Box<tokio::time::Sleep>>),
    /// It has no value, and is made anew when the registry says so.
    Halted,
}

/// Whether a turn can go on with messages.
pub(super) enum Ready {
    Yes,
    /// It waits for something that will wake it.
    Not,
    Over,
}

impl<S: 'static> Resident<S> {
    /// Does what has been ordered.
    pub(super) fn obey(&mut self, works: &Works<S>, gathered: &mut Gathered<'_>) {
        while let Some(control) = self.affairs().controls.pop_front() {
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
                Control::Spawn(_) => unreachable!("it is spawned when it comes"),
                Control::Fail(failure) if self.order != Order::Abort => {
                    self.interrupt(works, gathered);
                    self.fail(works, failure);
                }
                Control::Fail(_) => {}
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

    /// Brings the subsystem to where it handles messages, as far as that goes now.
    #[inline]
    pub(super) fn get_ready(&mut self, works: &Works<S>, cx: &mut Context<'_>) -> Ready {
        if let (Life::Running, Order::Serve | Order::Drain) = (&self.life, self.order) {
            return Ready::Yes;
        }
        self.live(works, cx)
    }

    #[cold]
    fn live(&mut self, works: &Works<S>, cx: &mut Context<'_>) -> Ready {
        loop {
            if self.order == Order::Abort {
                return Ready::Over;
            }
            match &mut self.life {
                Life::Running => return Ready::Yes,
                Life::Halted => return Ready::Not,
                Life::Pausing(until) => {
                    // Who is to drain first handles what waits: it does not wait for the pause.
                    if self.order == Order::Serve && until.as_mut().poll(cx).is_pending() {
                        return Ready::Not;
                    }
                    self.remake(works);
                }
                Life::Starting(hook) => {
                    let hook = *hook;
                    match self.call(works, hook, cx) {
                        Called::Running => {
                            self.in_service = Some(Service::Hook(hook));
                            return Ready::Not;
                        }
                        called => self.hook_ended(works, hook, called),
                    }
                }
            }
        }
    }

    /// Goes on with a hook; false if it still waits.
    pub(super) fn go_on_with_hook(
        &mut self,
        works: &Works<S>,
        cx: &mut Context<'_>,
        hook: Hook,
    ) -> bool {
        match self.desk.catch(|desk| desk.poll(cx, None)) {
            Called::Running => false,
            called => {
                self.hook_ended(works, hook, called);
                true
            }
        }
    }

    /// Calls a hook, if there is such a one.
    fn call(&mut self, works: &Works<S>, hook: Hook, cx: &mut Context<'_>) -> Called {
        let hooks = &works.handlers.hooks;
        let delivery = Delivery {
            receiver: works.mounted.seat.id,
            sender: 0,
            due: crate::clock::Due::NEVER,
            trace: 0,
            started: Stamp(0),
            surroundings: &*works.shared,
            in_sync_handler: &works.local.in_sync_handler,
        };
        let affairs = self.affairs.as_deref();
        let cause = affairs.and_then(|affairs| affairs.cause.as_ref());
        let reason = affairs.and_then(|affairs| affairs.reason.as_ref());
        self.desk.catch(|desk| match hook {
            Hook::Restarting => match (&hooks.restarting, cause) {
                (Some(hook), Some(cause)) => hook.call(desk, cause.clone(), &delivery, cx),
                _ => Called::Handled,
            },
            Hook::Started => match &hooks.started {
                Some(hook) => hook.call(desk, (), &delivery, cx),
                None => Called::Handled,
            },
            Hook::Stopped => match &hooks.stopped {
                Some(hook) => {
                    let reason = reason.cloned().unwrap_or(EndReason::Stopped);
                    hook.call(desk, reason, &delivery, cx)
                }
                None => Called::Handled,
            },
        })
    }

    fn hook_ended(&mut self, works: &Works<S>, hook: Hook, called: Called) {
        let failed = match called {
            Called::Handled => None,
            Called::Panicked => {
                let panic = self.desk.panic.take();
                Some(panic.unwrap_or_else(|| "a panic".into()))
            }
            // There is no more that a hook may say.
            Called::Failed | Called::Running | Called::Later | Called::WrongParcel => {
                Some(std::mem::take(&mut self.desk.failure).into_boxed_str())
            }
        };
        match (hook, failed) {
            (Hook::Restarting, None) => self.life = Life::Starting(Hook::Started),
            (Hook::Started, None) => self.is_there(works),
            (Hook::Restarting | Hook::Started, Some(text)) => self.start_failed(works, &text),
            (Hook::Stopped, None) => {}
            (Hook::Stopped, Some(text)) => {
                let text = format!("the subsystem failed when it was stopped: {text}");
                works.mounted.note_failure(text.into());
            }
        }
    }

    /// It handles messages from now on.
    fn is_there(&mut self, works: &Works<S>) {
        self.life = Life::Running;
        // A new value is a change too.
        self.change();
        let is_new = self.standing.take().map(Standing::tell).is_some();
        let Some(affairs) = &mut self.affairs else {
            return;
        };
        if !is_new && affairs.cause.take().is_some() {
            let name = &works.mounted.seat.name;
            works.shared.events.tell(name, Change::Restarted);
        }
        for done in affairs.revived.drain(..) {
            let _ = done.send(());
        }
    }

    fn start_failed(&mut self, works: &Works<S>, text: &str) {
        match self.standing.take() {
            Some(standing) => {
                // The mount fails; nobody restarts what never stood.
                standing.tell_failure(text.into());
                self.drop_value(works);
                self.order = Order::Abort;
                self.affairs().reason = Some(EndReason::Failed(Failure::Start(text.into())));
            }
            None => self.fail(works, Failure::Start(text.into())),
        }
    }

    /// The subsystem failed: drops its value, and does what its policy says.
    pub(super) fn fail(&mut self, works: &Works<S>, failure: Failure) {
        let mounted = &works.mounted;
        let (now, chance) = (works.now(), works.chance());
        let history = &mut self.affairs().history;
        let decided = mounted.policy().decide(history, &failure, now, chance);
        // Before anybody hears of it: whoever mounts a child then is refused, and concerned no more.
        match decided {
            Decision::Restart { .. } => mounted.set_down(true),
            Decision::End | Decision::Escalate => mounted.leave(),
        }
        let is_alone = mounted.restarts_alone();
        self.drop_value(works);
        mounted.note_failure(failure.to_string().into());
        let change = Change::Failed(failure.clone());
        works.shared.events.tell(&mounted.seat.name, change);
        // Whoever waits for it to be revived must not wait for its pause.
        let affairs = self.affairs();
        affairs.revived.clear();
        match decided {
            Decision::Restart { after } if is_alone => {
                affairs.cause = Some(failure);
                if after.is_zero() {
                    self.remake(works);
                } else {
                    self.life = Life::Pausing(Box::pin(tokio::time::sleep(after)));
                }
            }
            Decision::Restart { after } => {
                self.life = Life::Halted;
                let what = Reported::Failed { failure, after };
                works.shared.report(mounted, what);
            }
            Decision::End => self.end_for_good(EndReason::Failed(failure)),
            Decision::Escalate => self.end_for_good(EndReason::Escalated(failure)),
        }
    }

    fn end_for_good(&mut self, reason: EndReason) {
        self.life = Life::Halted;
        self.affairs().reason = Some(reason);
        self.order = Order::Abort;
    }

    /// Makes the subsystem anew.
    fn remake(&mut self, works: &Works<S>) {
        match contain(|| Box::new(self.factory.get()())) {
            Ok(state) => {
                self.desk.state = Some(state);
                let mounted = &works.mounted;
                mounted.set_down(false);
                mounted.restarts.fetch_add(1, Ordering::Relaxed);
                let hooks = &works.handlers.hooks;
                if hooks.restarting.is_none() && hooks.started.is_none() {
                    self.is_there(works);
                } else {
                    self.life = Life::Starting(Hook::Restarting);
                }
            }
            Err(text) => self.fail(works, Failure::Start((*text).into())),
        }
    }

    /// Drops the subsystem's value, whose drop may panic, and ends its tasks.
    fn drop_value(&mut self, works: &Works<S>) {
        works.mounted.end_tasks();
        let (state, runner) = (self.desk.state.take(), &mut self.desk.runner);
        // A handler under way first: it has borrowed the value, or has it.
        let handler = contain(|| runner.clear());
        if let Err(text) = handler.and(contain(|| drop(state))) {
            let text = format!("the subsystem panicked while it was dropped: {text}");
            works.mounted.note_failure(text.into());
        }
    }

    /// Calls the last hook, if the value is there; one that has to wait is given up.
    fn call_stopped(&mut self, works: &Works<S>, reason: EndReason) {
        if self.desk.state.is_none() || works.handlers.hooks.stopped.is_none() {
            return;
        }
        let before = self.affairs().reason.replace(reason);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let called = self.call(works, Hook::Stopped, &mut cx);
        self.affairs().reason = before;
        if called != Called::Running {
            self.hook_ended(works, Hook::Stopped, called);
        }
    }

    /// Calls the last hook, once, after the last message; false if it still waits. What never stood has none.
    pub(super) fn is_stopped(&mut self, works: &Works<S>, cx: &mut Context<'_>) -> bool {
        if std::mem::replace(&mut self.stopped_called, true)
            || self.standing.is_some()
            || self.desk.state.is_none()
            || works.handlers.hooks.stopped.is_none()
        {
            return true;
        }
        match self.call(works, Hook::Stopped, cx) {
            Called::Running if self.order != Order::Abort => {
                self.in_service = Some(Service::Hook(Hook::Stopped));
                false
            }
            // There is no more time.
            Called::Running => true,
            called => {
                self.hook_ended(works, Hook::Stopped, called);
                true
            }
        }
    }

    /// The last step: drops the value, and tells those who wait for that.
    pub(super) fn finish_life(&mut self, works: &Works<S>) {
        self.drop_value(works);
        discard(self.factory.take());
        let mounted = &works.mounted;
        let mut affairs = self.affairs.take().unwrap_or_default();
        let was_ordered = !affairs.ended.is_empty();
        let reason = affairs.reason.take().unwrap_or(EndReason::SystemStopped);
        // If it never stood, nobody is to hear of it but who mounts it.
        if self.standing.take().is_none() {
            let change = Change::Ended(reason.clone());
            works.shared.events.tell(&mounted.seat.name, change);
            if !was_ordered {
                works.shared.report(mounted, Reported::Ended(reason));
            }
        }
        affairs.revived.clear();
        for ended in affairs.ended.drain(..) {
            let _: Result<(), ()> = ended.send(());
        }
    }
}

impl<S> Works<S> {
    /// The time, as policies read it.
    fn now(&self) -> Duration {
        let clock = &self.shared.clock;
        Duration::from_nanos(clock.between_ns(Stamp(0), clock.now()))
    }

    fn chance(&self) -> f64 {
        self.shared.chance()
    }
}
