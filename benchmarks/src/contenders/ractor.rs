//! ractor, built without span propagation: `cast` to tell, `call` to ask. Its mailboxes are unbounded.

use anyhow::{Context as _, anyhow};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, cast};
use tokio::runtime::Handle;

use crate::contender::{self, ByName, Contender, Threads, YIELDS_AFTER, tokio_stage};
use crate::tally::{Aside, Tally};

/// ractor.
#[derive(Debug)]
pub struct Ractor;

struct Counter;

/// What the actor takes.
#[derive(Debug)]
pub enum Word {
    /// A tell.
    Add(u64),
    /// A tell off the measured path.
    Aside(Aside),
    /// An ask.
    Ask(u64, RpcReplyPort<u64>),
    /// Hands over what has been received.
    Take(RpcReplyPort<Tally>),
}

impl Actor for Counter {
    type Msg = Word;
    type State = Tally;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Word>, _: ()) -> Result<Self::State, ActorProcessingErr> {
        Ok(Tally::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Word>,
        word: Word,
        tally: &mut Tally,
    ) -> Result<(), ActorProcessingErr> {
        match word {
            Word::Add(n) => tally.add(n),
            Word::Aside(aside) => tally.aside(aside),
            Word::Ask(n, reply) => reply.send(tally.ask(n))?,
            Word::Take(reply) => reply.send(tally.take()).map_err(|_| "no one takes it")?,
        }
        Ok(())
    }
}

/// The reference to a counting actor.
#[derive(Clone, Debug)]
pub struct Address(ActorRef<Word>);

impl contender::Address for Address {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);

    #[inline]
    fn tell(&self, n: u64) -> impl Future<Output = ()> + Send {
        cast!(self.0, Word::Add(n)).expect("the actor lives");
        std::future::ready(())
    }

    fn aside(&self, aside: Aside) -> impl Future<Output = ()> + Send {
        cast!(self.0, Word::Aside(aside)).expect("the actor lives");
        std::future::ready(())
    }

    async fn ask(&self, n: u64) -> u64 {
        call!(self.0, Word::Ask, n).expect("the actor lives")
    }

    async fn take(&self) -> Tally {
        call!(self.0, Word::Take).expect("the actor lives")
    }
}

impl Contender for Ractor {
    const NAME: &'static str = "ractor";
    const PACKAGE: &'static str = "ractor";

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
            let mut addresses = Vec::with_capacity(count);
            for _ in 0..count {
                // Not awaited until it has started: that would be a switch per actor.
                let (actor, _) = ractor::ActorRuntime::spawn_instant(None, Counter, ())
                    .map_err(|error| anyhow!("{error}"))?;
                addresses.push(Address(actor));
            }
            Ok(addresses)
        };
        stage.spawn(start).await.context("the start panicked")?
    }

    async fn start_idle(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        Self::start(stage, count).await
    }

    async fn ask_idle(_: &Self::Stage, idle: &Address) -> anyhow::Result<u64> {
        call!(idle.0, Word::Ask, 1).map_err(|error| anyhow!("{error}"))
    }
}

impl ByName for Ractor {
    /// The registry is the process's own; the references keep the actors known there.
    type Directory = Vec<ActorRef<Word>>;

    async fn start_named(stage: &Self::Stage, names: &[String]) -> anyhow::Result<Self::Directory> {
        let names = names.to_vec();
        let start = async move {
            let mut actors = Vec::with_capacity(names.len());
            for name in names {
                let (actor, _) = Actor::spawn(Some(name), Counter, ()).await?;
                actors.push(actor);
            }
            anyhow::Ok(actors)
        };
        stage.spawn(start).await.context("the start panicked")?
    }

    async fn tell_named(_: &Self::Directory, text: &str, n: u64) {
        let actor = ActorRef::where_is(text).expect("known");
        cast!(actor, Word::Add(n)).expect("the actor lives");
    }

    async fn take_named(_: &Self::Directory, name: &str) -> Tally {
        let actor = ActorRef::where_is(name).expect("known");
        contender::Address::take(&Address(actor)).await
    }
}
