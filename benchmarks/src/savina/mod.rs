//! Programs after the Savina suite: many actors that talk to each other, the same for every contender.
//!
//! A program is a cast of [`Role`]s that know each other by number. A role handles a message and says
//! what it sends; a *troupe* is what makes actors of roles, in the idiom of one contender. Each program
//! ends with a result that is known beforehand, and a wrong one is an error.
//!
//! Source: S. Imam, V. Sarkar: "Savina, an actor benchmark suite", AGERE! 2014.

pub mod programs;
mod troupes;

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::oneshot;

use crate::contender::Contender;
use crate::contenders::{Actix, Kameo, MyceliaHandle, Ractor, Xtra};
use crate::workloads::{Load, Meter, Reading, Run, Workload};
use programs::*;

/// What roles say to each other.
#[derive(Debug, Clone, Copy, actix::Message, mycelia::Message)]
#[rtype(result = "()")]
pub struct Note {
    /// What is said; each program has its own meanings.
    pub word: u32,
    /// Who says it.
    pub from: u32,
    /// About what.
    pub a: u64,
    /// And about what else.
    pub b: u64,
}

/// What a role sends while it handles one message.
#[derive(Debug, Default)]
pub struct Outbox {
    me: u32,
    notes: Vec<(u32, Note)>,
    result: Option<u64>,
}

impl Outbox {
    /// Sends a note.
    #[inline]
    pub fn send(&mut self, to: u32, word: u32, a: u64, b: u64) {
        let from = self.me;
        self.notes.push((to, Note { word, from, a, b }));
    }

    /// Sends a note to the role itself.
    pub fn again(&mut self, word: u32) {
        self.send(self.me, word, 0, 0);
    }

    /// Ends the program.
    pub fn finish(&mut self, result: u64) {
        self.result = Some(result);
    }
}

/// One actor of a program.
pub trait Role: Send + 'static {
    /// Handles a note.
    fn handle(&mut self, note: Note, out: &mut Outbox);
}

/// A program, ready to run. It starts with the word 0 to its role 0.
pub struct Play {
    roles: Vec<Box<dyn Role>>,
    messages: u64,
    result: u64,
}

/// How a program is made.
pub trait Program {
    /// Makes it, with about so many messages.
    fn play(messages: u64) -> Play;
}

/// What the actors of a running program share: how to reach each other, and where the result goes.
struct Stage<R> {
    cast: OnceLock<Vec<R>>,
    result: Mutex<Option<oneshot::Sender<anyhow::Result<u64>>>>,
}

impl<R> Stage<R> {
    fn new() -> (Self, Ending) {
        let (sender, result) = oneshot::channel();
        let stage = Stage {
            cast: OnceLock::new(),
            result: Mutex::new(Some(sender)),
        };
        (stage, result)
    }

    fn enter(&self, cast: Vec<R>) {
        assert!(self.cast.set(cast).is_ok(), "the cast is entered once");
    }

    #[inline]
    fn cast(&self, who: u32) -> &R {
        &self.cast.get().expect("entered before the first note")[who as usize]
    }

    fn finish(&self, result: anyhow::Result<u64>) {
        let mut sender = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            let _ = sender.send(result);
        }
    }
}

/// A role with its number and its outbox: what every troupe's actor holds.
struct Player {
    role: Box<dyn Role>,
    out: Outbox,
}

impl Player {
    fn cast(roles: Vec<Box<dyn Role>>) -> impl Iterator<Item = Player> {
        let player = |(me, role)| Player {
            role,
            out: Outbox {
                me,
                ..Outbox::default()
            },
        };
        (0..).zip(roles).map(player)
    }

    #[inline]
    fn handle(&mut self, note: Note) {
        self.role.handle(note, &mut self.out);
    }
}

/// A program that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program starts with.
const OVERTURE: Note = Note {
    word: 0,
    from: 0,
    a: 0,
    b: 0,
};

/// Makes actors of roles.
trait Troupe: Contender {
    /// Runs a program on so many threads.
    fn perform(threads: usize, roles: Vec<Box<dyn Role>>) -> anyhow::Result<Finale>;
}

fn perform<T: Troupe, P: Program>(threads: usize, messages: u64) -> anyhow::Result<Reading> {
    let play = P::play(messages);
    let finale = T::perform(threads, play.roles)?;
    ensure!(
        finale.result == play.result,
        "the result is {} and should be {}",
        finale.result,
        play.result
    );
    let each = |all: f64| all / play.messages as f64;
    Ok(Reading {
        value: each(finale.reading.value),
        allocations: finale.reading.allocations.map(each),
        notes: Vec::new(),
    })
}

fn on_one<T: Troupe, P: Program>(load: Load) -> anyhow::Result<Reading> {
    perform::<T, P>(1, load.share(5, 1000))
}

fn on_two<T: Troupe, P: Program>(load: Load) -> anyhow::Result<Reading> {
    perform::<T, P>(2, load.share(5, 1000))
}

/// Ping-pong between two threads is a matter of microseconds.
fn apart<T: Troupe, P: Program>(load: Load) -> anyhow::Result<Reading> {
    perform::<T, P>(2, load.share(100, 1000))
}

fn workload<P: Program>(name: &'static str, title: &'static str) -> Workload {
    Workload::new(name, title, "ns/message")
        .with::<Actix>(on_two::<Actix, P>)
        .with::<Kameo>(on_two::<Kameo, P>)
        .with::<Ractor>(on_two::<Ractor, P>)
        .with::<MyceliaHandle>(on_two::<MyceliaHandle, P>)
}

/// All programs, each on two threads.
pub fn workloads() -> Vec<Workload> {
    vec![
        workload::<PingPong>("ping-pong", "two actors, one message between them"),
        workload::<Counting>("counting", "one actor counts what another sends"),
        workload::<ThreadRing>("thread-ring", "one message round a ring of 100"),
        workload::<ForkJoin>("fork-join", "one actor throws at 60, in turn"),
        workload::<Big>("big", "120 actors, each pings others at random"),
        workload::<Bank>("bank", "transfers between 1,000 accounts"),
        workload::<Dictionary>("dictionary", "20 workers read and write one dictionary"),
        workload::<Smokers>("smokers", "one arbiter serves 200 smokers at random"),
    ]
}

/// Ping-pong for `against`: on one thread, and with an actor on each of two.
pub fn ping_pongs() -> Vec<Workload> {
    let with = |workload: Workload, runs: [Run; 5]| {
        let [actix, kameo, ractor, xtra, mycelia] = runs;
        workload
            .with::<Actix>(actix)
            .with::<Kameo>(kameo)
            .with::<Ractor>(ractor)
            .with::<Xtra>(xtra)
            .with::<MyceliaHandle>(mycelia)
    };
    let one = Workload::new(
        "ping-pong-1",
        "ping-pong of two actors, one thread",
        "ns/message",
    );
    let two = Workload::new(
        "ping-pong-2",
        "ping-pong of two actors, two threads",
        "ns/message",
    );
    vec![
        with(
            one,
            [
                on_one::<Actix, PingPong>,
                on_one::<Kameo, PingPong>,
                on_one::<Ractor, PingPong>,
                on_one::<Xtra, PingPong>,
                on_one::<MyceliaHandle, PingPong>,
            ],
        ),
        with(
            two,
            [
                apart::<Actix, PingPong>,
                apart::<Kameo, PingPong>,
                apart::<Ractor, PingPong>,
                apart::<Xtra, PingPong>,
                apart::<MyceliaHandle, PingPong>,
            ],
        ),
    ]
}

/// Where the result will come out.
type Ending = oneshot::Receiver<anyhow::Result<u64>>;

/// A program that has ended.
struct Finale {
    /// Of all its messages together.
    reading: Reading,
    result: u64,
}

/// Waits for a program's end, on an executor that has timers.
async fn finale(meter: Meter, ending: Ending) -> anyhow::Result<Finale> {
    let ended = tokio::time::timeout(PATIENCE, ending).await;
    let reading = meter.each(1);
    let result = ended.with_context(|| format!("no result within {PATIENCE:?}"))?;
    let result = result.context("the program ended without a result")??;
    Ok(Finale { reading, result })
}
