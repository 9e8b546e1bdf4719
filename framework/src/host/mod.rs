//! The host: the actix actor that a subsystem lives in. `mailbox → `**`host`**` → latency`
//!
//! The host owns the user's value. Its actix context runs one future, which gives the subsystem its
//! turns; actix's own mailbox carries the keepers' orders. Promise: a panic in a handler fails that
//! message alone. The subsystem is made anew by its factory; what waits in the mailbox stays.

mod gathered;
mod turn;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler as ActixHandler};
use tokio::sync::oneshot;

use crate::directory::Mounted;
use crate::handler::runner::Runner;
use crate::mailbox::orders::{Control, Order};
use crate::route::Handlers;
use crate::shared::Shared;
use crate::token::Chain;
use turn::{InService, Turn};

/// What a turn needs and never changes.
struct Works<S: 'static> {
    shared: Arc<Shared>,
    mounted: Arc<Mounted>,
    handlers: Arc<Handlers<S>>,
}

/// The actor around a subsystem. Boxed: tokio rounds a task up to 128 bytes.
pub(crate) struct Host<S: 'static>(Box<Resident<S>>);

/// A subsystem with what it is working on.
struct Resident<S: 'static> {
    /// Taken out during a turn.
    works: Option<Works<S>>,
    factory: Box<dyn Fn() -> S>,
    state: Option<Box<S>>,
    runner: Runner<S>,
    backlog: Chain,
    /// The ticket up to which messages were taken out of the inbox.
    ticket: u64,
    in_service: Option<InService>,
    /// Its last turn ended with more to do.
    went_on: bool,
    /// Looks left at an empty mailbox before the host sleeps.
    looks: u8,
    /// What was left with the seat to wake this host.
    waker: Option<Waker>,
    order: Order,
    /// Told when the host has ended its last message.
    ended: Vec<oneshot::Sender<()>>,
    is_over: bool,
}

/// The text of a caught panic.
pub(crate) fn panic_message(panic: Box<dyn std::any::Any + Send>) -> Box<str> {
    match panic.downcast::<String>() {
        Ok(text) => text.into_boxed_str(),
        Err(panic) => match panic.downcast_ref::<&str>() {
            Some(text) => (*text).into(),
            None => "a panic without a text".into(),
        },
    }
}

impl<S: 'static> Host<S> {
    /// Makes the subsystem and the host around it, and opens its seat.
    ///
    /// # Errors
    /// The factory's panic.
    pub(crate) fn new(
        shared: Arc<Shared>,
        mounted: Arc<Mounted>,
        handlers: Arc<Handlers<S>>,
        factory: Box<dyn Fn() -> S>,
        capacity: u32,
    ) -> Result<Self, Box<str>> {
        let state =
            catch_unwind(AssertUnwindSafe(|| Box::new(factory()))).map_err(panic_message)?;
        let ticket = mounted.seat.inbox.ticket();
        mounted.seat.open(mounted.map.id, capacity);
        Ok(Host(Box::new(Resident {
            works: Some(Works {
                shared,
                mounted,
                handlers,
            }),
            factory,
            state: Some(state),
            runner: Runner::new(),
            backlog: Chain::new(),
            ticket,
            in_service: None,
            went_on: false,
            looks: 0,
            waker: None,
            order: Order::Serve,
            ended: Vec::new(),
            is_over: false,
        })))
    }
}

impl<S: 'static> Resident<S> {
    /// Makes the subsystem anew after a panic. If the factory panics too, the subsystem is over.
    fn restart(&mut self, works: &Works<S>) {
        let broken = (
            self.state.take(),
            std::mem::replace(&mut self.runner, Runner::new()),
        );
        // A value whose handler panicked may panic again when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        works
            .mounted
            .restarts
            .fetch_add(1, crate::sync::Ordering::Relaxed);
        match catch_unwind(AssertUnwindSafe(|| Box::new((self.factory)()))) {
            Ok(state) => self.state = Some(state),
            Err(panic) => {
                let message = panic_message(panic);
                works
                    .mounted
                    .note_failure(format!("the factory panicked at a restart: {message}").into());
                self.order = Order::Abort;
            }
        }
    }
}

impl<S: 'static> Actor for Host<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Serve);
    }
}

impl<S: 'static> ActixHandler<Control> for Host<S> {
    type Result = ();

    fn handle(&mut self, control: Control, _: &mut Self::Context) {
        let resident = &mut *self.0;
        resident.order = resident.order.max(control.order);
        resident.ended.extend(control.ended);
    }
}

/// The one future of a host's context: it gives the subsystem its turns.
struct Serve;

impl<S: 'static> ActorFuture<Host<S>> for Serve {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        host: &mut Host<S>,
        ctx: &mut Context<Host<S>>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        match host.0.turn(task) {
            Turn::Again | Turn::Linger => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
            Turn::Sleep => Poll::Pending,
            Turn::Over => {
                host.0.end();
                ctx.stop();
                Poll::Ready(())
            }
        }
    }
}

impl<S: 'static> Drop for Host<S> {
    fn drop(&mut self) {
        // Reached without `end` only if the thread goes down around the host.
        self.0.end();
    }
}
