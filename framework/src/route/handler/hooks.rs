//! Hooks: the methods of a subsystem that are called when it starts, is restarted, or stops.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::method::{Awaited, Method};
use super::runner::{HandlerOutcome, Panic, Run, RunEnd, run};
use super::{Called, HandlerSlot};
use crate::base::user_code::{Contained, contain};
use crate::envelope::Envelope;
use crate::route::extract::{Address, Captures as _, Delivery, Extract, Source};
use crate::words::error::CaptureError;
use crate::words::events::EndReason;
use crate::words::message::{IntoReply, Nothing};
use crate::words::supervision::Failure;

/// Which hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// Called on the new value after a failure, before `Started`.
    Restarting,
    /// Called before the first message.
    Started,
    /// Called after the last message.
    Stopped,
}

/// The hooks of a kind of subsystem.
pub(crate) struct Hooks<S> {
    pub(crate) restarting: Option<Box<dyn HookCall<S, Failure>>>,
    pub(crate) started: Option<Box<dyn HookCall<S, ()>>>,
    pub(crate) stopped: Option<Box<dyn HookCall<S, EndReason>>>,
}

impl<S> Default for Hooks<S> {
    fn default() -> Self {
        Hooks {
            restarting: None,
            started: None,
            stopped: None,
        }
    }
}

/// How the host calls a hook, with its cause.
pub(crate) trait HookCall<S, C>: Send + Sync {
    fn call(
        &self,
        slot: &mut HandlerSlot<S>,
        cause: C,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called;
}

impl<S, F, C, A, R> HookCall<S, C> for Method<Awaited, F, C, A, R>
where
    S: 'static,
    F: AsyncFn(&mut S, C, A) -> R + Clone + Send + Sync + 'static,
    C: 'static,
    A: Extract,
    R: IntoReply<(), Later = Nothing> + 'static,
{
    fn call(
        &self,
        slot: &mut HandlerSlot<S>,
        cause: C,
        delivery: &Delivery<'_>,
        cx: &mut Context<'_>,
    ) -> Called {
        let arguments = match arguments::<A>(delivery) {
            Ok(arguments) => arguments,
            Err(error) => {
                let text = format!("a hook has no captures: {error}");
                return slot.note(HandlerOutcome::Failed(text));
            }
        };
        let method = self.method.clone();
        let Some(state) = slot.state.take() else {
            let text = "the subsystem was not there".into();
            return slot.note(HandlerOutcome::Failed(text));
        };
        let make = || HookRun {
            future: run(state, method, cause, arguments),
        };
        slot.start(make, cx, None)
    }
}

pin_project_lite::pin_project! {
    /// A method that answers nothing into an envelope.
    pub(super) struct HookRun<F> {
        #[pin]
        pub(super) future: F,
    }
}

impl<S, F, R> Run<S> for HookRun<F>
where
    F: Future<Output = (Box<S>, Result<R, Panic>)>,
    R: IntoReply<(), Later = Nothing>,
{
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: Option<&mut Envelope<'_>>,
    ) -> Poll<RunEnd<S>> {
        self.project().future.poll(cx).map(|(state, ended)| {
            // Contained: the `Display` of the error is user code.
            let ended = ended.and_then(|reply| contain(|| error_of::<R>(reply)));
            let outcome = match ended {
                Ok(None) => HandlerOutcome::Handled,
                Ok(Some(error)) => HandlerOutcome::Failed(error),
                Err(panic) => HandlerOutcome::Panicked(panic),
            };
            (Some(state), outcome)
        })
    }
}

/// What a hook takes besides its cause.
fn arguments<A: Extract>(delivery: &Delivery<'_>) -> Result<A, CaptureError> {
    let packed = ().with(|none| A::pack(&mut Address::new(Source::Values(none), None)))?;
    Ok(A::unpack(packed, delivery))
}

/// The text of the error that a hook returned, if it did.
fn error_of<R: IntoReply<(), Later = Nothing>>(reply: R) -> Option<String> {
    let Ok(reply) = reply.into_reply();
    let error = Contained::new(reply.err()?);
    Some(format!("{:#}", error.get()))
}
