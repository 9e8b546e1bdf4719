//! The stage: what a program is made of, and what its actors share while it runs.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;

use crate::contender::Contender;
use crate::workload::{Meter, Reading};

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
    pub(super) notes: Vec<(u32, Note)>,
    pub(super) result: Option<u64>,
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
    pub(super) roles: Vec<Box<dyn Role>>,
    pub(super) messages: u64,
    pub(super) result: u64,
}

/// How a program is made.
pub trait Program {
    /// Makes it, with about so many messages.
    fn play(messages: u64) -> Play;
}

/// What the actors of a running program share: how to reach each other, and where the result goes.
pub(super) struct Stage<R> {
    cast: OnceLock<Vec<R>>,
    result: Mutex<Option<oneshot::Sender<anyhow::Result<u64>>>>,
}

impl<R> Stage<R> {
    pub(super) fn new() -> (Self, Ending) {
        let (sender, result) = oneshot::channel();
        let stage = Stage {
            cast: OnceLock::new(),
            result: Mutex::new(Some(sender)),
        };
        (stage, result)
    }

    pub(super) fn enter(&self, cast: Vec<R>) {
        assert!(self.cast.set(cast).is_ok(), "the cast is entered once");
    }

    #[inline]
    pub(super) fn cast(&self, who: u32) -> &R {
        &self.cast.get().expect("entered before the first note")[who as usize]
    }

    pub(super) fn finish(&self, result: anyhow::Result<u64>) {
        let mut sender = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            let _ = sender.send(result);
        }
    }
}

/// A role with its number and its outbox: what every troupe's actor holds.
pub(super) struct Player {
    role: Box<dyn Role>,
    pub(super) out: Outbox,
}

impl Player {
    pub(super) fn cast(roles: Vec<Box<dyn Role>>) -> impl Iterator<Item = Player> {
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
    pub(super) fn handle(&mut self, note: Note) {
        self.role.handle(note, &mut self.out);
    }
}

/// A program that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program starts with.
pub(super) const OVERTURE: Note = Note {
    word: 0,
    from: 0,
    a: 0,
    b: 0,
};

/// Makes actors of roles.
pub(super) trait Troupe: Contender {
    /// Runs a program on so many threads.
    fn perform(threads: usize, roles: Vec<Box<dyn Role>>) -> anyhow::Result<Finale>;
}

/// Where the result will come out.
pub(super) type Ending = oneshot::Receiver<anyhow::Result<u64>>;

/// A program that has ended.
pub(super) struct Finale {
    /// Of all its messages together.
    pub(super) reading: Reading,
    pub(super) result: u64,
}

/// Waits for a program's end, on an executor that has timers.
pub(super) async fn finale(meter: Meter, ending: Ending) -> anyhow::Result<Finale> {
    let ended = tokio::time::timeout(PATIENCE, ending).await;
    let reading = meter.each(1);
    let result = ended.with_context(|| format!("no result within {PATIENCE:?}"))?;
    let result = result.context("the program ended without a result")??;
    Ok(Finale { reading, result })
}
