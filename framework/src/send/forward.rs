//! Forwarding: another subsystem answers a message whose reply comes later.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::handle::Route;
use crate::base::clock::Due;
use crate::envelope::pool::Pool;
use crate::route::extract::Reply;
use crate::thread::Local;
use crate::words::message::Message;

impl<M: Message> Reply<M> {
    /// Asks another subsystem, and answers with what it says: its reply, or why there is none, as the error of an
    /// [`AskError::Failed`](crate::error::AskError::Failed). The ask has the deadline of the message, and carries
    /// its trace. True if the message was still to be ended.
    ///
    /// # Cancel safety
    /// Dropped before its end it has dropped the reply: the asker gets
    /// [`AskError::NoReply`](crate::error::AskError::NoReply).
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    ///
    /// #[derive(Message)]
    /// #[message(reply = u64)]
    /// struct Square(u64);
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Front;
    /// #[derive(Subsystem, Default)]
    /// struct Worker;
    ///
    /// #[routes]
    /// impl Worker {
    ///     #[route("square")]
    ///     fn square(&mut self, Square(n): Square) -> u64 {
    ///         n * n
    ///     }
    /// }
    ///
    /// #[routes]
    /// impl Front {
    ///     #[route("square")]
    ///     fn square(&mut self, square: Square, reply: Reply<Square>, system: System, ctx: Context) {
    ///         match system.route::<Square>("worker://square") {
    ///             Ok(worker) => {
    ///                 ctx.spawn(async move {
    ///                     reply.forward(&worker, square).await;
    ///                 });
    ///             }
    ///             Err(error) => {
    ///                 reply.fail(error);
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// let system = System::builder().start().await?;
    /// system.mount(Worker::default).await?;
    /// system.mount(Front::default).await?;
    /// assert_eq!(system.ask("front://square", Square(7)).await?, 49);
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub async fn forward<N>(self, to: &Route<N>, message: N) -> bool
    where
        N: Message<Reply = M::Reply>,
    {
        let ask = CarryingOn {
            future: to.ask(message),
            pool: self.deferrals.pool.clone(),
            due: self.due,
            trace: self.trace.0,
        };
        match ask.await {
            Ok(reply) => self.send(reply),
            Err(error) => self.fail(error),
        }
    }
}

pin_project_lite::pin_project! {
    /// An ask that belongs to a message: it has that one's deadline and trace.
    struct CarryingOn<F> {
        #[pin]
        future: F,
        pool: Arc<Pool>,
        due: Due,
        trace: u64,
    }
}

impl<F: Future> Future for CarryingOn<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let local = Local::of(this.pool);
        let _carried = local.carry(*this.due, *this.trace);
        this.future.poll(cx)
    }
}
