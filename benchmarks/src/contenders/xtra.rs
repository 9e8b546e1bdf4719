//! xtra: a detached `send` to tell, `send` to ask. Its unbounded mailbox is the faster one; under
//! overload it gets a bounded one, which waits.
//!
//! Its mailbox is a heap by priority and does not keep the order of messages of one priority. What asks
//! for the account must not overtake what it accounts for, so tells go one priority higher.

use anyhow::Context as _;
use dashmap::DashMap;
use tokio::runtime::Handle;
use xtra::prelude::*;

use crate::contender::{self, ByName, Contender, ROOM, Threads, YIELDS_AFTER, tokio_stage};
use crate::tally::{Add, Aside, Ask, Take, Tally};

/// xtra.
#[derive(Debug)]
pub struct Xtra;

#[derive(Default, xtra::Actor)]
struct Counter(Tally);

impl Handler<Add> for Counter {
    type Return = ();

    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) {
        self.0.add(n);
    }
}

impl Handler<Aside> for Counter {
    type Return = ();

    async fn handle(&mut self, aside: Aside, _: &mut Context<Self>) {
        self.0.aside(aside);
    }
}

impl Handler<Ask> for Counter {
    type Return = u64;

    async fn handle(&mut self, Ask(n): Ask, _: &mut Context<Self>) -> u64 {
        self.0.ask(n)
    }
}

impl Handler<Take> for Counter {
    type Return = Tally;

    async fn handle(&mut self, _: Take, _: &mut Context<Self>) -> Tally {
        self.0.take()
    }
}

/// The address of a counting actor.
#[derive(Clone, Debug)]
pub struct Address(xtra::Address<Counter>);

/// Priority of tells; that of everything else is 0.
const FIRST: u32 = 1;

impl contender::Address for Address {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);
    const KEEPS_ORDER: bool = false;

    async fn tell(&self, n: u64) {
        // What comes back is the reply's receiver.
        let sent = self.0.send(Add(n)).priority(FIRST).detach().await;
        drop(sent.expect("the actor lives"));
    }

    async fn aside(&self, aside: Aside) {
        let sent = self.0.send(aside).priority(FIRST).detach().await;
        drop(sent.expect("the actor lives"));
    }

    async fn ask(&self, n: u64) -> u64 {
        self.0.send(Ask(n)).await.expect("the actor lives")
    }

    async fn take(&self) -> Tally {
        self.0.send(Take).await.expect("the actor lives")
    }
}

impl Contender for Xtra {
    const NAME: &'static str = "xtra";
    const PACKAGE: &'static str = "xtra";

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
            let counter = || xtra::spawn_tokio(Counter::default(), Mailbox::unbounded());
            (0..count).map(|_| Address(counter())).collect()
        };
        stage.spawn(start).await.context("the start panicked")
    }

    async fn start_bounded(stage: &Self::Stage) -> anyhow::Result<Address> {
        let start = async { xtra::spawn_tokio(Counter::default(), Mailbox::bounded(ROOM)) };
        let address = stage.spawn(start).await.context("the start panicked")?;
        Ok(Address(address))
    }

    async fn start_idle(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        Self::start(stage, count).await
    }

    async fn ask_idle(_: &Self::Stage, idle: &Address) -> anyhow::Result<u64> {
        Ok(idle.0.send(Ask(1)).await?)
    }
}

impl ByName for Xtra {
    /// It has no names of its own; a concurrent map is what one puts beside it.
    type Directory = DashMap<String, Address>;

    async fn start_named(stage: &Self::Stage, names: &[String]) -> anyhow::Result<Self::Directory> {
        let addresses = Self::start(stage, names.len()).await?;
        Ok(names.iter().cloned().zip(addresses).collect())
    }

    async fn tell_named(directory: &Self::Directory, text: &str, n: u64) {
        // The guard must not be held while the send waits.
        let address = directory.get(text).expect("known").clone();
        contender::Address::tell(&address, n).await;
    }

    async fn take_named(directory: &Self::Directory, name: &str) -> Tally {
        let address = directory.get(name).expect("known").clone();
        contender::Address::take(&address).await
    }
}
