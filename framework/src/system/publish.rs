//! Topics: `publish` in its variants, streams, what is retained; and what a subsystem subscribes to as it runs.

use std::time::Duration;

use super::System;
use super::context::Context;
use crate::base::clock::Due;
use crate::books::topics::Published;
use crate::route::Patience;
use crate::send::handle::Route;
use crate::send::path::AsPath;
use crate::topics::{self, SubscribeError, TopicStream};
use crate::words::error::Undelivered;
use crate::words::message::Message;

impl System {
    /// Publishes a message: all who subscribe to the topic, for messages of this type, get a copy each. A
    /// large one is shared in an `Arc`.
    ///
    /// Each copy is a message as any other, with its receiver's room, policy, priority and account. Who has
    /// room gets its copy at once; then the publisher waits for those who have none and whose policy is to
    /// wait, for all of them side by side. A subscriber gets the messages of one publisher in the order in
    /// which they were published.
    ///
    /// # Errors
    /// `BadPath`; `Stopped`; or `Reserved`, on `mycelia://…`. Then no one got it, and it is handed back. That
    /// no one subscribes is no error.
    ///
    /// # Panics
    /// If the message's `clone` does; those who had no copy yet get none.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it has sent all copies but those for which it waits: they are
    /// [cut](crate::observe::TopicLedger::cut).
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    ///
    /// #[derive(Message, Clone)]
    /// struct Placed {
    ///     total: u64,
    /// }
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Billing;
    ///
    /// #[routes]
    /// impl Billing {
    ///     #[subscribe("orders://placed/{id}")]
    ///     fn bill(&mut self, placed: Placed, Path(id): Path<u64>) {
    ///         println!("order {id}: {}", placed.total);
    ///     }
    /// }
    ///
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// let system = System::builder().start().await?;
    /// system.mount(Billing::default).await?;
    /// let published = system.publish("orders://placed/7", Placed { total: 12 }).await?;
    /// assert_eq!((published.matched, published.accepted), (1, 1));
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub fn publish<M: Message<Reply = ()> + Clone>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> impl Future<Output = Result<Published, Undelivered<M>>> {
        topics::publish(self.shared(), self.topics(), path, message, Due::NEVER)
    }

    /// Publishes a message, and waits for those who have no room until `deadline` has passed since this call.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    /// As [`publish`](Self::publish).
    pub fn publish_within<M: Message<Reply = ()> + Clone>(
        &self,
        path: impl AsPath,
        message: M,
        deadline: Duration,
    ) -> impl Future<Output = Result<Published, Undelivered<M>>> {
        let clock = &self.shared().clock;
        let due = Patience::new(clock, Some(deadline), false).due(clock.now());
        topics::publish(self.shared(), self.topics(), path, message, due)
    }

    /// Publishes a message to those who have room now; the others miss it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn try_publish<M: Message<Reply = ()> + Clone>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> Result<Published, Undelivered<M>> {
        topics::try_publish(self.shared(), self.topics(), path, message)
    }

    /// A stream of what is published on a topic from now on, for code outside of subsystems. At most
    /// `capacity` messages wait in it; those that come while it is full are
    /// [missed](TopicStream::missed).
    ///
    /// # Errors
    /// The text is no topic, or the capacity is 0.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # #[derive(Message, Clone)] struct Placed { total: u64 }
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().start().await?;
    /// let mut orders = system.subscribe::<Placed>("orders://placed/{id}", 64)?;
    /// system.publish("orders://placed/7", Placed { total: 12 }).await?;
    /// assert_eq!(orders.next().await.map(|placed| placed.total), Some(12));
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub fn subscribe<M: Message<Reply = ()> + Clone>(
        &self,
        topic: &str,
        capacity: usize,
    ) -> Result<TopicStream<M>, SubscribeError> {
        topics::listen(self.shared(), self.topics(), topic, capacity, 0)
    }

    /// The same, with the last `n` messages that are [retained](Self::retain) before those that come, the
    /// oldest first.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_last<M: Message<Reply = ()> + Clone>(
        &self,
        topic: &str,
        capacity: usize,
        n: u32,
    ) -> Result<TopicStream<M>, SubscribeError> {
        topics::listen(self.shared(), self.topics(), topic, capacity, n)
    }

    /// Retains the last `n` messages of type `M` that are published on topics of a pattern, all its paths
    /// together, for subscribers that come later and ask for them: `#[subscribe("…", last = 1)]`. With 0, none
    /// any more.
    ///
    /// A subscriber gets each of them once, retained or as it is published; those retained have been sent to
    /// it when its mount, or its `subscribe_last`, returns. To publish a message that is retained costs a lock
    /// and two allocations more.
    ///
    /// # Errors
    /// The text is no topic, or one of the framework's own.
    pub fn retain<M: Message<Reply = ()> + Clone + Sync>(
        &self,
        topic: &str,
        n: usize,
    ) -> Result<(), SubscribeError> {
        topics::retain::<M>(self.topics(), topic, n)
    }
}

impl Context {
    /// Subscribes to a topic until this subsystem ends: what is published there is sent by the handle, to this
    /// subsystem or another, with the topic's captures unless the handle has its own. Twice the same is the
    /// same as once, so that a `#[started]` hook may do it at every restart.
    ///
    /// # Errors
    /// The text is no topic; or `Stopped`.
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    ///
    /// #[derive(Message, Clone)]
    /// struct Price(u64);
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Desk;
    ///
    /// #[routes]
    /// impl Desk {
    ///     #[route("prices/{symbol}")]
    ///     fn price(&mut self, Price(price): Price, Path(symbol): Path<String>) {
    ///         println!("{symbol}: {price}");
    ///     }
    /// }
    ///
    /// #[derive(Message)]
    /// struct Follow(String);
    ///
    /// #[derive(Subsystem, Default)]
    /// struct Traders;
    ///
    /// #[routes]
    /// impl Traders {
    ///     #[route("follow")]
    ///     fn follow(&mut self, Follow(symbol): Follow, ctx: Context, system: System) -> anyhow::Result<()> {
    ///         let desk = system.route::<Price>("desk://prices/{symbol}")?;
    ///         ctx.subscribe("market://{symbol}", &desk)?;
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn subscribe<M: Message<Reply = ()> + Clone>(
        &self,
        topic: &str,
        handle: &Route<M>,
    ) -> Result<(), SubscribeError> {
        let topics = self.topics().ok_or(SubscribeError::Stopped)?;
        topics::subscribe(&topics, self.mounted(), topic, handle)
    }

    /// Ends what this subsystem has subscribed to by [`subscribe`](Self::subscribe) on a topic; false if it
    /// has not.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&self, topic: &str) -> Result<bool, SubscribeError> {
        let topics = self.topics().ok_or(SubscribeError::Stopped)?;
        topics::unsubscribe(&topics, self.mounted(), topic)
    }
}
