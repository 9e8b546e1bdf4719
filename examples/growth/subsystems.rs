//! What the scenes are played with.

use std::time::Duration;

use futures_util::stream;
use mycelia::prelude::*;
use mycelia::supervise::Restart;
use mycelia::{OrLater, later};

use examples_lib::silence::ON_PURPOSE;

/// Items of a stream.
pub(crate) const ITEMS: u64 = 100;

#[derive(Message)]
#[message(reply = u64)]
pub(crate) struct Get;

#[derive(Message)]
pub(crate) struct Put(pub(crate) u64);

/// Waits a moment.
#[derive(Message)]
#[message(reply = u64)]
pub(crate) struct Rest;

/// Sets timers, or begins streams, so many.
#[derive(Message)]
pub(crate) struct Begin(pub(crate) u64);

#[derive(Message)]
pub(crate) struct Tick;

/// Its reply comes later, or does not.
#[derive(Message, Clone, Copy)]
#[message(reply = u64)]
pub(crate) enum Owe {
    Give,
    GiveBeside,
    Fail,
    Drop,
    /// Until the subsystem fails.
    Keep,
}

/// How a subsystem is to end.
#[derive(Message, Clone, Copy)]
pub(crate) enum End {
    Stop,
    Panic,
}

#[derive(Subsystem, Default)]
#[subsystem(name = "worker")]
pub(crate) struct Worker {
    handled: u64,
    is_open: bool,
    owed: Vec<Reply<Owe>>,
}

#[routes]
impl Worker {
    #[route("get")]
    fn get(&mut self, _: Get) -> u64 {
        self.handled += 1;
        self.handled
    }

    #[route("put")]
    fn put(&mut self, Put(n): Put) {
        self.handled += n;
    }

    #[route("items/{n}")]
    fn item(&mut self, Put(n): Put, Path(_): Path<u64>) {
        self.handled += n;
    }

    #[route("names/{name}")]
    fn name(&mut self, Put(n): Put, Path(name): Path<String>) {
        self.handled += n + name.len() as u64;
    }

    #[route("rest")]
    async fn rest(&mut self, _: Rest) -> u64 {
        tokio::task::yield_now().await;
        self.handled
    }

    #[route("blocking", blocking)]
    fn blocking(&mut self, _: Get) -> u64 {
        self.handled
    }

    /// A message of 0 is kept until one of 1 has come.
    #[route("later")]
    fn later(&mut self, put: Put) -> OrLater<(), Put> {
        if put.0 == 0 && !self.is_open {
            return later(put);
        }
        self.is_open = put.0 == 1;
        OrLater::Reply(())
    }

    #[route("timers")]
    fn timers(&mut self, Begin(count): Begin, ctx: Context) -> anyhow::Result<()> {
        for _ in 0..count {
            ctx.after(Duration::ZERO, "tick", Tick)?;
        }
        Ok(())
    }

    #[route("cancelled")]
    fn cancelled(&mut self, Begin(count): Begin, ctx: Context) -> anyhow::Result<()> {
        for n in 0..count {
            let hour = Duration::from_secs(3600);
            let task = match n % 2 {
                0 => ctx.after(hour, "tick", Tick)?,
                _ => ctx.every(hour, mycelia::schedule::MissedTick::Skip, "tick", || Tick)?,
            };
            task.cancel();
        }
        Ok(())
    }

    #[route("streams")]
    fn streams(&mut self, Begin(count): Begin, ctx: Context) -> anyhow::Result<()> {
        for _ in 0..count.div_ceil(ITEMS) {
            ctx.stream("tick", stream::iter((0..ITEMS).map(|_| Tick)))?;
        }
        Ok(())
    }

    #[route("owe")]
    fn owe(&mut self, owe: Owe, reply: Reply<Owe>, ctx: Context) {
        match owe {
            Owe::Give => drop(reply.send(1)),
            Owe::GiveBeside => {
                ctx.spawn(async move {
                    tokio::task::yield_now().await;
                    reply.send(1);
                });
            }
            Owe::Fail => drop(reply.fail(std::io::Error::other("it owes nothing"))),
            Owe::Drop => drop(reply),
            Owe::Keep => self.owed.push(reply),
        }
    }

    #[route("spawned")]
    fn spawned(&mut self, Begin(count): Begin, ctx: Context) -> anyhow::Result<()> {
        for n in 0..count {
            match n % 3 {
                0 => drop(ctx.spawn(tokio::task::yield_now())),
                1 => ctx.spawn(std::future::pending()).cancel(),
                _ => drop(ctx.spawn_then("tick", async {}, |()| Tick)?),
            }
        }
        Ok(())
    }

    #[route("tick")]
    fn tick(&mut self, _: Tick) {
        self.handled += 1;
    }

    #[route("end")]
    fn end(&mut self, end: End, ctx: Context) {
        match end {
            End::Stop => ctx.stop(),
            End::Panic => panic!("a handler panics {ON_PURPOSE}"),
        }
    }

    /// Mounts a child, and has it end.
    #[route("child/{n}")]
    async fn child(
        &mut self,
        _: Get,
        Path(n): Path<u64>,
        ctx: Context,
        system: System,
    ) -> anyhow::Result<u64> {
        let name = format!("child-{n}");
        let options = MountOptions::new()
            .name(name.clone())
            .restart(Restart::Never);
        ctx.mount_with(options, Worker::default).await?;
        let child = format!("{}/{name}", ctx.name());
        match n % 3 {
            0 => system.tell(format!("{child}://end"), End::Stop).await?,
            1 => system.tell(format!("{child}://end"), End::Panic).await?,
            _ => drop(ctx.unmount(&name).await?),
        }
        Ok(n)
    }
}
