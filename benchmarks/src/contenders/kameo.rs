//! kameo, built without tracing: `tell` and `ask`, both by `send()`, which does without the box that
//! awaiting the request itself makes. Its unbounded mailbox is the faster one; under overload it gets a
//! bounded one, which waits.

use anyhow::Context as _;
use kameo::prelude::*;
use tokio::runtime::Handle;

use crate::contender::{self, ByName, Contender, ROOM, Threads, YIELDS_AFTER, tokio_stage};
use crate::tally::{Add, Aside, Ask, Take, Tally};

/// kameo.
#[derive(Debug)]
pub struct Kameo;

#[derive(Actor, Default)]
struct Counter(Tally);

impl Message<Add> for Counter {
    type Reply = ();

    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self, ()>) {
        self.0.add(n);
    }
}

impl Message<Aside> for Counter {
    type Reply = ();

    async fn handle(&mut self, aside: Aside, _: &mut Context<Self, ()>) {
        self.0.aside(aside);
    }
}

impl Message<Ask> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Ask(n): Ask, _: &mut Context<Self, u64>) -> u64 {
        self.0.ask(n)
    }
}

#[derive(Reply)]
struct Taken(Tally);

impl Message<Take> for Counter {
    type Reply = Taken;

    async fn handle(&mut self, _: Take, _: &mut Context<Self, Taken>) -> Taken {
        Taken(self.0.take())
    }
}

/// The reference to a counting actor.
#[derive(Clone, Debug)]
pub struct Address(ActorRef<Counter>);

impl contender::Address for Address {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);

    async fn tell(&self, n: u64) {
        self.0.tell(Add(n)).send().await.expect("the actor lives");
    }

    async fn aside(&self, aside: Aside) {
        self.0.tell(aside).send().await.expect("the actor lives");
    }

    async fn ask(&self, n: u64) -> u64 {
        self.0.ask(Ask(n)).send().await.expect("the actor lives")
    }

    async fn take(&self) -> Tally {
        self.0.ask(Take).await.expect("the actor lives").0
    }
}

impl Contender for Kameo {
    const NAME: &'static str = "kameo";
    const PACKAGE: &'static str = "kameo";

    type Stage = Handle;
    type Address = Address;
    type Idle = Address;

    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        tokio_stage::play(threads, script)
    }

    async fn start(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        let start = async move {
            let mailbox = || kameo::mailbox::unbounded();
            (0..count)
                .map(|_| Address(Counter::spawn_with_mailbox(Counter::default(), mailbox())))
                .collect()
        };
        stage.spawn(start).await.context("the start panicked")
    }

    async fn start_bounded(stage: &Self::Stage) -> anyhow::Result<Address> {
        let start = async {
            let mailbox = kameo::mailbox::bounded(ROOM);
            Address(Counter::spawn_with_mailbox(Counter::default(), mailbox))
        };
        stage.spawn(start).await.context("the start panicked")
    }

    async fn start_idle(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        let start = async move {
            (0..count)
                .map(|_| Address(Counter::spawn(Counter::default())))
                .collect()
        };
        stage.spawn(start).await.context("the start panicked")
    }

    async fn ask_idle(_: &Self::Stage, idle: &Address) -> anyhow::Result<u64> {
        idle.0.ask(Ask(1)).await.ok().context("an idle actor died")
    }
}

/// Names in the registry, which is the process's own and would keep their actors forever.
#[derive(Debug)]
pub struct Registered(Vec<String>);

impl Drop for Registered {
    fn drop(&mut self) {
        if let Ok(mut registry) = kameo::registry::ACTOR_REGISTRY.lock() {
            for name in &self.0 {
                registry.remove(name.as_str());
            }
        }
    }
}

impl ByName for Kameo {
    type Directory = Registered;

    async fn start_named(stage: &Self::Stage, names: &[String]) -> anyhow::Result<Registered> {
        let addresses = Self::start(stage, names.len()).await?;
        for (name, address) in names.iter().zip(addresses) {
            address.0.register(name.clone())?;
        }
        Ok(Registered(names.to_vec()))
    }

    async fn tell_named(_: &Registered, text: &str, n: u64) {
        let actor = ActorRef::<Counter>::lookup(text).expect("of that type");
        let told = actor.expect("known").tell(Add(n)).send().await;
        told.expect("the actor lives");
    }

    async fn take_named(_: &Registered, name: &str) -> Tally {
        let actor = ActorRef::<Counter>::lookup(name).expect("of that type");
        contender::Address::take(&Address(actor.expect("known"))).await
    }
}
