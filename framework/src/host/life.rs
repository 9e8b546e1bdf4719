//! The life of a subsystem in its host: start, failure, pause, restart, end. `orders → `**`life`**` → turn`
//!
//! What the keepers order comes through the actix mailbox and is obeyed at the start of the next turn.
//! What happens after a failure the host decides itself, by its policy, if no one else is concerned;
//! else it halts and reports to the registry.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use super::startup::Startup;
use super::turn::Service;
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::base::sync::{Ordering, fence};
use crate::base::user_code::{contain, discard};
use crate::directory::life::LifeState;
use crate::mailbox::orders::{Order, Reported};
use crate::route::handler::Called;
use crate::route::handler::hooks::Hook;
use crate::runtime::shared::Phase;
use crate::words::events::{Change, EndReason};
use crate::words::supervision::{Failure, RestartDecision};

/// Where a subsystem is in its life.
pub(super) enum Life {
    /// Its value is there; this hook is to be called, and what follows on it.
    Starting(Hook),
    /// It handles messages.
    Running,
    /// Its value is there, and handles no message before it is resumed.
    Paused,
    /// It failed, and is restarted when the time has come.
    Pausing(Pin<Box<tokio::time::Sleep>>),
    /// It has no value, and is restarted when the registry says so.
    Halted,
}

/// How far a host is with its own end, after its last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closing {
    NotYet,
    /// The last hook was called, or there is none to call.
    HookCalled,
    /// It has nothing more to do, and waits for its task to end it.
    Over,
    /// It has ended all that was there.
    Ended,
}

/// Whether a turn can go on with messages.
pub(super) enum Ready {
    Yes,
    /// It waits for something that will wake it.
    Not,
    Over,
}

impl<S: 'static> HostState<S> {
    /// Brings the subsystem to where it handles messages, as far as that goes now.
    #[inline]
    pub(super) fn get_ready(&mut self, env: &HostEnv<S>, cx: &mut Context<'_>) -> Ready {
        if let (Life::Running, Order::Serve | Order::Drain) = (&self.life, self.order) {
            return Ready::Yes;
        }
        self.live(env, cx)
    }

    #[cold]
    fn live(&mut self, env: &HostEnv<S>, cx: &mut Context<'_>) -> Ready {
        loop {
            if self.order == Order::Abort {
                return Ready::Over;
            }
            match &mut self.life {
                Life::Running => return Ready::Yes,
                Life::Halted => return Ready::Not,
                Life::Paused => {
                    // It counts as paused since before: see below.
                    fence(Ordering::SeqCst);
                    if self.order == Order::Serve && env.shared.phase() == Phase::Open {
                        return Ready::Not;
                    }
                    self.life = Life::Running;
                }
                Life::Pausing(until) => {
                    // Who is to drain first handles what waits: it does not wait for the pause. Nor does
                    // anyone when the system stops, which waits for what waits here.
                    // It counts as down since before: who stops the system sees one or the other.
                    fence(Ordering::SeqCst);
                    let may_wait = self.order == Order::Serve && env.shared.phase() == Phase::Open;
                    if may_wait && until.as_mut().poll(cx).is_pending() {
                        return Ready::Not;
                    }
                    self.remake(env);
                }
                Life::Starting(hook) => {
                    let hook = *hook;
                    match self.call(env, hook, cx) {
                        Called::Running => {
                            self.in_service = Some(Service::Hook(hook));
                            return Ready::Not;
                        }
                        called => self.hook_ended(env, hook, called),
                    }
                }
            }
        }
    }

    /// It handles messages from now on.
    pub(super) fn is_there(&mut self, env: &HostEnv<S>) {
        self.life = match env.mounted.is_paused() {
            true => Life::Paused,
            false => Life::Running,
        };
        // A new value is a change too.
        self.change();
        let told = |startup: Startup| startup.tell_of(env.mounted.mailbox.id);
        let is_new = self.startup.take().map(told).is_some();
        let Some(lifecycle) = &mut self.lifecycle else {
            return;
        };
        if !is_new && lifecycle.cause.take().is_some() {
            let name = &env.mounted.mailbox.name;
            env.shared.events.tell(name, Change::Restarted);
        }
        for done in lifecycle.revived.drain(..) {
            let _ = done.send(());
        }
    }

    pub(super) fn start_failed(&mut self, env: &HostEnv<S>, text: &str) {
        match self.startup.take() {
            Some(startup) => {
                // The mount fails; no one restarts what never stood.
                startup.tell_failure(env.mounted.mailbox.name.clone(), text.into());
                self.drop_value(env);
                self.order = Order::Abort;
                self.lifecycle().reason = Some(EndReason::Failed(Failure::Start(text.into())));
            }
            None => self.fail(env, Failure::Start(text.into())),
        }
    }

    /// The subsystem failed: drops its value, and does what its policy says.
    pub(super) fn fail(&mut self, env: &HostEnv<S>, failure: Failure) {
        let mounted = &env.mounted;
        let (now, chance) = (env.now(), env.chance());
        let history = &mut self.lifecycle().history;
        let decided = mounted.policy().decide(history, &failure, now, chance);
        // Before anybody hears of it: anyone who mounts a child then is refused, and concerned no more.
        match decided {
            RestartDecision::Restart { .. } => mounted.life.go_down(),
            RestartDecision::End | RestartDecision::Escalate => {
                mounted.life.end_at(LifeState::Leaving);
            }
        }
        let is_alone = mounted.restarts_alone();
        self.drop_value(env);
        mounted.note_failure(failure.to_string().into());
        let change = Change::Failed(failure.clone());
        env.shared.events.tell(&mounted.mailbox.name, change);
        // Anyone who waits for it to be revived must not wait for its pause.
        let lifecycle = self.lifecycle();
        lifecycle.revived.clear();
        match decided {
            RestartDecision::Restart { after } if is_alone => {
                lifecycle.cause = Some(failure);
                if after.is_zero() {
                    self.remake(env);
                } else {
                    self.life = Life::Pausing(Box::pin(tokio::time::sleep(after)));
                }
            }
            RestartDecision::Restart { after } => {
                self.life = Life::Halted;
                let what = Reported::Failed { failure, after };
                env.shared.report(mounted, what);
            }
            RestartDecision::End => self.end_for_good(EndReason::Failed(failure)),
            RestartDecision::Escalate => self.end_for_good(EndReason::Escalated(failure)),
        }
    }

    fn end_for_good(&mut self, reason: EndReason) {
        self.life = Life::Halted;
        self.lifecycle().reason = Some(reason);
        self.order = Order::Abort;
    }

    /// Restarts the subsystem.
    pub(super) fn remake(&mut self, env: &HostEnv<S>) {
        match contain(|| Box::new(self.factory.get()())) {
            Ok(state) => {
                self.slot.state = Some(state);
                let mounted = &env.mounted;
                mounted.life.come_up();
                mounted.restarts.fetch_add(1, Ordering::Relaxed);
                let hooks = &env.handlers.hooks;
                if hooks.restarting.is_none() && hooks.started.is_none() {
                    self.is_there(env);
                } else {
                    self.life = Life::Starting(Hook::Restarting);
                }
            }
            Err(text) => self.fail(env, Failure::Start((*text).into())),
        }
    }

    /// Drops the subsystem's value, whose drop may panic, and ends its tasks.
    pub(super) fn drop_value(&mut self, env: &HostEnv<S>) {
        env.mounted.end_tasks();
        let (state, runner) = (self.slot.state.take(), &mut self.slot.runner);
        // A handler under way first: it has borrowed the value, or has it.
        let handler = contain(|| runner.clear());
        if let Err(text) = handler.and(contain(|| drop(state))) {
            self.tell_failure(env, Failure::Drop((*text).into()));
        }
    }

    /// Tells of a failure that changes nothing: the value is on its way out.
    #[cold]
    pub(super) fn tell_failure(&self, env: &HostEnv<S>, failure: Failure) {
        let mounted = &env.mounted;
        mounted.note_failure(failure.to_string().into());
        let change = Change::Failed(failure);
        env.shared.events.tell(&mounted.mailbox.name, change);
    }

    /// The last step: drops the value, and tells those who wait for that.
    pub(super) fn finish_life(&mut self, env: &HostEnv<S>) {
        self.drop_value(env);
        discard(self.factory.take());
        let mounted = &env.mounted;
        let mut lifecycle = self.lifecycle.take().unwrap_or_default();
        let was_ordered = !lifecycle.ended.is_empty();
        let reason = lifecycle.reason.take().unwrap_or(EndReason::SystemStopped);
        // If it never stood, no one is to hear of it but who mounts it. Else the registry tells, when the name
        // is free.
        if self.startup.take().is_none() {
            mounted.note_end(reason.clone());
            if !was_ordered {
                env.shared.report(mounted, Reported::Ended(reason));
            }
        }
        lifecycle.revived.clear();
        for ended in lifecycle.ended.drain(..) {
            let _: Result<(), ()> = ended.send(());
        }
    }
}

impl<S> HostEnv<S> {
    /// The time, as policies read it.
    fn now(&self) -> Duration {
        let clock = &self.shared.clock;
        Duration::from_nanos(clock.between_ns(Stamp(0), clock.now()))
    }

    fn chance(&self) -> f64 {
        self.shared.chance()
    }
}
