//! Raw actix: `do_send` to tell, `send` to ask.

use actix::prelude::*;
use anyhow::Context as _;
use dashmap::DashMap;
use tokio::sync::oneshot;

use crate::contender::{self, ByName, Contender, Threads, YIELDS_AFTER, tokio_stage};
use crate::tally::{Add, Aside, Ask, Take, Tally};

/// Raw actix.
#[derive(Debug)]
pub struct Actix;

#[derive(Default)]
struct Counter(Tally);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Add> for Counter {
    type Result = ();

    fn handle(&mut self, Add(n): Add, _: &mut Self::Context) {
        self.0.add(n);
    }
}

impl Handler<Aside> for Counter {
    type Result = ();

    fn handle(&mut self, aside: Aside, _: &mut Self::Context) {
        self.0.aside(aside);
    }
}

impl Handler<Ask> for Counter {
    type Result = u64;

    fn handle(&mut self, Ask(n): Ask, _: &mut Self::Context) -> u64 {
        self.0.ask(n)
    }
}

impl Handler<Take> for Counter {
    type Result = MessageResult<Take>;

    fn handle(&mut self, _: Take, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.0.take())
    }
}

/// The address of a counting actor.
#[derive(Clone)]
pub struct Address(Addr<Counter>);

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address")
    }
}

impl contender::Address for Address {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);

    #[inline]
    fn tell(&self, n: u64) -> impl Future<Output = ()> + Send {
        self.0.do_send(Add(n));
        std::future::ready(())
    }

    #[inline]
    fn aside(&self, aside: Aside) -> impl Future<Output = ()> + Send {
        self.0.do_send(aside);
        std::future::ready(())
    }

    async fn ask(&self, n: u64) -> u64 {
        self.0.send(Ask(n)).await.expect("the actor lives")
    }

    async fn take(&self) -> Tally {
        self.0.send(Take).await.expect("the actor lives")
    }
}

/// Calls `make` on the arbiter's thread.
///
/// # Errors
/// The arbiter has ended.
pub async fn on_arbiter<T: Send + 'static>(
    stage: &ArbiterHandle,
    make: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let (made, makes) = oneshot::channel();
    stage.spawn_fn(move || drop(made.send(make())));
    makes.await.context("the arbiter has ended")
}

impl Contender for Actix {
    const NAME: &'static str = "actix";
    const PACKAGE: &'static str = "actix";

    type Stage = ArbiterHandle;
    type Address = Address;
    type Idle = Address;

    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        match threads {
            Threads::One => System::new().block_on(async move {
                let task = actix_rt::spawn(async move { script(Arbiter::current()).await });
                task.await.context("a script panicked")?
            }),
            Threads::Two => {
                let (started, starts) = std::sync::mpsc::channel();
                let thread = std::thread::spawn(move || {
                    let system = System::new();
                    let _ = started.send(System::current());
                    system.run()
                });
                let system = starts.recv()?;
                let stage = system.arbiter().clone();
                let result = tokio_stage::run_here(async move { script(stage).await });
                system.stop();
                let ended = thread.join();
                let result = result?;
                ended.ok().context("the actors' thread panicked")??;
                Ok(result)
            }
        }
    }

    async fn start(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        let start = move || (0..count).map(|_| Address(Counter::default().start()));
        on_arbiter(stage, move || start().collect()).await
    }

    async fn start_idle(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        Self::start(stage, count).await
    }

    async fn ask_idle(_: &Self::Stage, idle: &Address) -> anyhow::Result<u64> {
        Ok(idle.0.send(Ask(1)).await?)
    }
}

impl ByName for Actix {
    /// It has no names of its own; a concurrent map is what one puts beside it.
    type Directory = DashMap<String, Address>;

    async fn start_named(stage: &Self::Stage, names: &[String]) -> anyhow::Result<Self::Directory> {
        let addresses = Self::start(stage, names.len()).await?;
        Ok(names.iter().cloned().zip(addresses).collect())
    }

    async fn tell_named(directory: &Self::Directory, text: &str, n: u64) {
        // It never waits, so the guard need not be given up first.
        directory.get(text).expect("known").0.do_send(Add(n));
    }

    async fn take_named(directory: &Self::Directory, name: &str) -> Tally {
        let address = directory.get(name).expect("known").clone();
        contender::Address::take(&address).await
    }
}
