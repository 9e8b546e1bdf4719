//! Plain actix actors among subsystems.
//!
//! A bridge makes an actor reachable by path. It is a subsystem whose routes pass messages on to the actor's address
//! and its answers back. One message is under way at a time, so that order is kept and the actor's mailbox does not
//! grow. For the other direction an actor holds a [`System`] or a [`Route`](crate::Route) and sends.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler};

use crate::base::user_code::Contained;
use crate::route::RouteTable;
use crate::route::subsystem::Subsystem;
use crate::system::{MountOptions, System};
use crate::words::error::MountError;
use crate::words::message::Message;

/// The subsystem that stands for an actix actor.
struct Bridge<A: Actor> {
    actor: Addr<A>,
}

impl<A: Actor> Subsystem for Bridge<A> {
    const NAME: &'static str = "actix";
}

/// The routes to an actix actor while they are being entered. [`System::mount_actor`] gives them.
pub struct ActorRoutes<'t, A: Actor> {
    table: &'t mut RouteTable<Bridge<A>>,
}

impl<A: Actor> ActorRoutes<'_, A> {
    /// Passes messages of type `M` sent to `pattern` on to the actor's `Handler<M>`.
    pub fn on<M>(&mut self, pattern: &str) -> &mut Self
    where
        M: Message + actix::Message<Result = <M as Message>::Reply>,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.table.on_async(
            pattern,
            async |bridge: &mut Bridge<A>, message: M, (): ()| bridge.actor.send(message).await,
        );
        self
    }
}

impl System {
    /// Makes an actix actor reachable under `name`.
    ///
    /// A message whose actor has stopped, or panics at it, counts as failed, and its asker is told.
    ///
    /// # Errors
    /// As [`mount`](Self::mount).
    ///
    /// # Examples
    /// ```
    /// use actix::Actor;
    /// use mycelia::prelude::*;
    ///
    /// #[derive(Message, actix::Message)]
    /// #[message(reply = u64)]
    /// #[rtype(result = "u64")]
    /// struct Deposit(u64);
    ///
    /// struct Account(u64);
    /// impl actix::Actor for Account {
    ///     type Context = actix::Context<Self>;
    /// }
    /// impl actix::Handler<Deposit> for Account {
    ///     type Result = u64;
    ///     fn handle(&mut self, Deposit(amount): Deposit, _: &mut Self::Context) -> u64 {
    ///         self.0 += amount;
    ///         self.0
    ///     }
    /// }
    ///
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// let system = System::builder().start().await?;
    /// let account = Account(0).start();
    /// system
    ///     .mount_actor("account", account, |routes| {
    ///         routes.on::<Deposit>("deposit");
    ///     })
    ///     .await?;
    /// assert_eq!(system.ask("account://deposit", Deposit(5)).await?, 5);
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub async fn mount_actor<A: Actor>(
        &self,
        name: impl Into<Arc<str>>,
        actor: Addr<A>,
        routes: impl FnOnce(&mut ActorRoutes<'_, A>),
    ) -> Result<(), MountError> {
        let name: Arc<str> = name.into();
        let kind = self.new_kind(|table| routes(&mut ActorRoutes { table }));
        let kind = kind.map_err(|error| error.of(&name))?;
        let factory = move || Bridge {
            actor: actor.clone(),
        };
        self.mount_kind(
            MountOptions::new().name(name),
            &kind,
            Contained::new(factory),
        )
        .await
    }
}
