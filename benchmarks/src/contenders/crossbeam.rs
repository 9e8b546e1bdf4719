//! crossbeam-channel, bounded, with a thread behind it: for two threads only, since it blocks. Asks one
//! at a time, by a channel for one reply.

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::contender::{self, Contender, ROOM, Threads, tokio_stage};
use crate::tally::{Aside, Tally};

/// crossbeam's channels.
#[derive(Debug)]
pub struct Crossbeam;

#[derive(Debug)]
enum Word {
    Add(u64),
    Aside(Aside),
    Ask(u64, Sender<u64>),
    Take(Sender<Tally>),
}

fn serve(words: Receiver<Word>) {
    let mut tally = Tally::default();
    for word in words {
        match word {
            Word::Add(n) => tally.add(n),
            Word::Aside(aside) => tally.aside(aside),
            Word::Ask(n, reply) => drop(reply.send(tally.ask(n))),
            Word::Take(reply) => drop(reply.send(tally.take())),
        }
    }
}

/// The sending half of a channel, and a channel for replies.
#[derive(Clone, Debug)]
pub struct Address {
    words: Sender<Word>,
    replies: (Sender<u64>, Receiver<u64>),
}

impl Address {
    fn send(&self, word: Word) {
        self.words.send(word).expect("the thread lives");
    }
}

impl contender::Address for Address {
    #[inline]
    fn tell(&self, n: u64) -> impl Future<Output = ()> + Send {
        self.send(Word::Add(n));
        std::future::ready(())
    }

    fn aside(&self, aside: Aside) -> impl Future<Output = ()> + Send {
        self.send(Word::Aside(aside));
        std::future::ready(())
    }

    async fn ask(&self, n: u64) -> u64 {
        self.send(Word::Ask(n, self.replies.0.clone()));
        self.replies.1.recv().expect("the thread replies")
    }

    async fn take(&self) -> Tally {
        let (reply, replies) = bounded(1);
        self.send(Word::Take(reply));
        replies.recv().expect("the thread replies")
    }
}

impl Contender for Crossbeam {
    const NAME: &'static str = "crossbeam";
    const PACKAGE: &'static str = "crossbeam-channel";

    type Stage = ();
    type Address = Address;
    type Idle = Address;

    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        anyhow::ensure!(
            threads == Threads::Two,
            "a blocking channel needs two threads"
        );
        tokio_stage::run_here(async move { script(()).await })
    }

    async fn start(_: &Self::Stage, count: usize) -> anyhow::Result<Vec<Address>> {
        let start = || {
            let (sender, words) = bounded(ROOM);
            // It ends when the last sender is gone.
            std::thread::spawn(move || serve(words));
            Address {
                words: sender,
                replies: bounded(1),
            }
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
