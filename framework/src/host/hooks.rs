//! The hooks of a subsystem, as its host calls them. `life → `**`hooks`**` → handler`

use std::sync::Arc;
use std::task::Context;

use super::life::{Closing, Life};
use super::turn::Service;
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::mailbox::orders::Order;
use crate::route::extract::Delivery;
use crate::route::handler::Called;
use crate::route::handler::hooks::Hook;
use crate::words::events::EndReason;
use crate::words::supervision::Failure;

/// Of a last hook that waits for something.
pub(super) const NO_TIME: &str = "it did not come to its end in time";

impl<S: 'static> HostState<S> {
    /// Goes on with a hook; false if it still waits.
    pub(super) fn go_on_with_hook(
        &mut self,
        env: &HostEnv<S>,
        cx: &mut Context<'_>,
        hook: Hook,
    ) -> bool {
        match self.slot.catch(|slot| slot.poll(cx, None)) {
            Called::Running => false,
            called => {
                self.hook_ended(env, hook, called);
                true
            }
        }
    }

    /// Calls a hook, if there is such a one.
    pub(super) fn call(&mut self, env: &HostEnv<S>, hook: Hook, cx: &mut Context<'_>) -> Called {
        let hooks = &env.handlers.hooks;
        let delivery = Delivery {
            receiver: env.mounted.mailbox.id,
            sender: 0,
            due: crate::base::clock::Due::NEVER,
            trace: 0,
            started: Stamp(0),
            surroundings: &*env.shared,
            in_sync_handler: &env.local.in_sync_handler,
        };
        let lifecycle = self.lifecycle.as_deref();
        let cause = lifecycle.and_then(|lifecycle| lifecycle.cause.as_ref());
        let reason = lifecycle.and_then(|lifecycle| lifecycle.reason.as_ref());
        self.slot.catch(|slot| match hook {
            Hook::Restarting => match (&hooks.restarting, cause) {
                (Some(hook), Some(cause)) => hook.call(slot, cause.clone(), &delivery, cx),
                _ => Called::Handled,
            },
            Hook::Started => match &hooks.started {
                Some(hook) => hook.call(slot, (), &delivery, cx),
                None => Called::Handled,
            },
            Hook::Stopped => match &hooks.stopped {
                Some(hook) => {
                    let reason = reason.cloned().unwrap_or(EndReason::Stopped);
                    hook.call(slot, reason, &delivery, cx)
                }
                None => Called::Handled,
            },
        })
    }

    pub(super) fn hook_ended(&mut self, env: &HostEnv<S>, hook: Hook, called: Called) {
        self.end_waits_of_ended(env);
        let failed = match called {
            Called::Handled => None,
            Called::Panicked => {
                let panic = self.slot.panic.take();
                Some(panic.unwrap_or_else(|| "a panic".into()))
            }
            // There is no more that a hook may say.
            Called::Failed
            | Called::Running
            | Called::Later
            | Called::CutOff
            | Called::WrongParcel => Some(std::mem::take(&mut self.slot.failure)),
        };
        match (hook, failed) {
            (Hook::Restarting, None) => self.life = Life::Starting(Hook::Started),
            (Hook::Started, None) => self.is_there(env),
            (Hook::Restarting | Hook::Started, Some(text)) => self.start_failed(env, &text),
            (Hook::Stopped, None) => {}
            (Hook::Stopped, Some(text)) => self.last_hook_failed(env, &text),
        }
    }

    /// The last hook failed, which is told; it changes nothing else.
    #[cold]
    pub(super) fn last_hook_failed(&mut self, env: &HostEnv<S>, text: &str) {
        let text = Arc::<str>::from(text);
        env.mounted.note_hook_failure(text.clone());
        self.tell_failure(env, Failure::LastHook(text));
    }

    /// Calls the last hook, if the value is there; one that has to wait is given up.
    pub(super) fn call_stopped(&mut self, env: &HostEnv<S>, reason: EndReason) {
        if self.slot.state.is_none() || env.handlers.hooks.stopped.is_none() {
            return;
        }
        let before = self.lifecycle().reason.replace(reason);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let called = self.call(env, Hook::Stopped, &mut cx);
        self.lifecycle().reason = before;
        match called {
            Called::Running => self.last_hook_failed(env, NO_TIME),
            called => self.hook_ended(env, Hook::Stopped, called),
        }
    }

    /// Calls the last hook, once, after the last message; false if it still waits. What never stood has none.
    pub(super) fn is_stopped(&mut self, env: &HostEnv<S>, cx: &mut Context<'_>) -> bool {
        let was_called = self.closing >= Closing::HookCalled;
        self.closing = self.closing.max(Closing::HookCalled);
        if was_called
            || self.startup.is_some()
            || self.slot.state.is_none()
            || env.handlers.hooks.stopped.is_none()
        {
            return true;
        }
        match self.call(env, Hook::Stopped, cx) {
            Called::Running if self.order != Order::Abort => {
                self.in_service = Some(Service::Hook(Hook::Stopped));
                false
            }
            Called::Running => {
                self.last_hook_failed(env, NO_TIME);
                true
            }
            called => {
                self.hook_ended(env, Hook::Stopped, called);
                true
            }
        }
    }
}
