//! tokio's bounded channel with a task behind it, replies by its oneshot: an actor made by hand.

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::contender::{self, Contender, ROOM, Threads, YIELDS_AFTER, tokio_stage};
use crate::tally::{Aside, Tally};

/// tokio's channels.
#[derive(Debug)]
pub struct TokioMpsc;

#[derive(Debug)]
enum Word {
    Add(u64),
    Aside(Aside),
    Ask(u64, oneshot::Sender<u64>),
    Take(oneshot::Sender<Tally>),
}

async fn serve(mut words: mpsc::Receiver<Word>) {
    let mut tally = Tally::default();
    while let Some(word) = words.recv().await {
        match word {
            Word::Add(n) => tally.add(n),
            Word::Aside(aside) => tally.aside(aside),
            Word::Ask(n, reply) => drop(reply.send(tally.ask(n))),
            Word::Take(reply) => drop(reply.send(tally.take())),
        }
    }
}

/// The sending half of a channel.
#[derive(Clone, Debug)]
pub struct Address(mpsc::Sender<Word>);

impl Address {
    async fn send(&self, word: Word) {
        self.0.send(word).await.expect("the task lives");
    }
}

impl contender::Address for Address {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);

    async fn tell(&self, n: u64) {
        self.send(Word::Add(n)).await;
    }

    async fn aside(&self, aside: Aside) {
        self.send(Word::Aside(aside)).await;
    }

    async fn ask(&self, n: u64) -> u64 {
        let (reply, replies) = oneshot::channel();
        self.send(Word::Ask(n, reply)).await;
        replies.await.expect("the task replies")
    }

    async fn take(&self) -> Tally {
        let (reply, replies) = oneshot::channel();
        self.send(Word::Take(reply)).await;
        replies.await.expect("the task replies")
    }
}

impl Contender for TokioMpsc {
    const NAME: &'static str = "tokio-mpsc";
    const PACKAGE: &'static str = "tokio";

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
        let start = || {
            let (sender, words) = mpsc::channel(ROOM);
            stage.spawn(serve(words));
            Address(sender)
        };
        Ok((0..count).map(|_| start()).collect())
    }

    async fn start_idle(stage: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        Self::start(stage, count).await
    }

    async fn ask_idle(_: &Self::Stage, idle: &Address) -> anyhow::Result<u64> {
        Ok(contender::Address::ask(idle, 1).await)
    }
}
