//! The host: the actix actor that a subsystem lives in. `mailbox → `**`host`**` → latency`
//!
//! The host owns the user's value. Its actix context runs one future, which gives the subsystem its
//! turns; actix's own mailbox carries the keepers' orders. Promise: a panic in a handler fails that
//! message alone. The subsystem is made anew by its factory; what waits in the mailbox stays.

pub(crate) mod handler;
pub(crate) mod runner;
mod turn;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context, Handler as ActixHandler};
use tokio::sync::oneshot;

use crate::directory::Mounted;
use crate::route::Handlers;
use crate::shared::Shared;
use crate::token::Chain;
use runner::Runner;
use turn::{InService, Turn};

/// What the keepers want of a host; sent through its actix mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, actix::Message)]
#[rtype(result = "()")]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// Refuse new messages, end the accepted ones, then stop.
    Drain,
    /// Stop now; what still waits is undeliverable.
    Abort,
}

/// What a turn needs and never changes.
struct Works<S: 'static> {
    shared: Arc<Shared>,
    mounted: Arc<Mounted>,
    handlers: Arc<Handlers<S>>,
}

/// The actor around a subsystem.
pub(crate) struct Host<S: 'static> {
    works: Rc<Works<S>>,
    factory: Box<dyn Fn() -> S>,
    state: Option<Box<S>>,
    runner: Runner<S>,
    backlog: Chain,
    /// The ticket up to which messages were taken out of the inbox.
    ticket: u64,
    in_service: Option<InService>,
    /// Envelopes returned since those who wait for one were last woken.
    owed: usize,
    order: Order,
    /// Told when the host has ended its last message.
    ended: Option<oneshot::Sender<()>>,
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
        ended: oneshot::Sender<()>,
    ) -> Result<Self, Box<str>> {
        let state =
            catch_unwind(AssertUnwindSafe(|| Box::new(factory()))).map_err(panic_message)?;
        let ticket = mounted.seat.inbox.ticket();
        mounted.seat.open(mounted.map.id, capacity);
        Ok(Host {
            works: Rc::new(Works {
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
            owed: 0,
            order: Order::Serve,
            ended: Some(ended),
        })
    }

    /// Makes the subsystem anew after a panic. If the factory panics too, the subsystem is over.
    fn restart(&mut self) {
        let broken = (
            self.state.take(),
            std::mem::replace(&mut self.runner, Runner::new()),
        );
        // A value whose handler panicked may panic again when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        self.works
            .mounted
            .restarts
            .fetch_add(1, crate::sync::Ordering::Relaxed);
        match catch_unwind(AssertUnwindSafe(|| Box::new((self.factory)()))) {
            Ok(state) => self.state = Some(state),
            Err(panic) => {
                let message = panic_message(panic);
                self.works
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

impl<S: 'static> ActixHandler<Order> for Host<S> {
    type Result = ();

    fn handle(&mut self, order: Order, _: &mut Self::Context) {
        self.order = self.order.max(order);
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
        match host.turn(task) {
            Turn::Again => {
                task.waker().wake_by_ref();
                Poll::Pending
            }
            Turn::Sleep => Poll::Pending,
            Turn::Over => {
                host.end();
                ctx.stop();
                Poll::Ready(())
            }
        }
    }
}

impl<S: 'static> Drop for Host<S> {
    fn drop(&mut self) {
        // Reached without `end` only if the thread goes down around the host.
        self.end();
    }
}
