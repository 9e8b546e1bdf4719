//! The program's own account of every message, kept without the framework's help.
//!
//! Each message carries a [`Slip`] with its number. The slip notes in the [`Log`] when a handler begins
//! and ends, and, when it is dropped, what it did not come to: a handler's end, or any handler at all. So
//! whatever happens to a message leaves exactly one mark, and a message that is lost leaves none.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::faults::Fuse;
use crate::scene::{NEIGHBOURS, ORIGINS, PLACES, ROWS};

const TOLD: u32 = 1;
const ASKED: u32 = 1 << 4;
const HANDLED: u32 = 1 << 8;
const FAILED: u32 = 1 << 16;
const GONE: u32 = 1 << 24;

/// The marks of all messages, and the last number that came from each sender to each place.
pub(crate) struct Log {
    marks: Box<[AtomicU32]>,
    /// One more than the number, 0 before the first.
    lasts: Vec<Vec<AtomicU64>>,
    /// Messages that a handler began with, by place.
    begun: Vec<AtomicU64>,
    disorders: AtomicU64,
    strays: AtomicU64,
    example: Mutex<Option<String>>,
}

/// What the marks say of all messages together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// Messages that were accepted.
    pub(crate) accepted: u64,
    /// Messages whose handler came to its end, as often as it did.
    pub(crate) handled: u64,
    /// Messages whose handler failed, panicked or was cut off.
    pub(crate) failed: u64,
    /// Messages that no handler took.
    pub(crate) gone: u64,
    /// Told messages that failed or that no handler took.
    pub(crate) dead: u64,
    /// Accepted messages without an end.
    pub(crate) lost: u64,
    /// Messages with more than one end.
    pub(crate) twice: u64,
    /// Messages that were not accepted and ended all the same.
    pub(crate) phantoms: u64,
    /// Messages that came after a later one of the same sender to the same place.
    pub(crate) disorders: u64,
    /// Messages that came to another place or with another capture than was meant.
    pub(crate) strays: u64,
}

impl Log {
    pub(crate) fn new(messages: u64) -> Self {
        let lasts = || (0..ORIGINS).map(|_| AtomicU64::new(0)).collect();
        Log {
            marks: (0..messages).map(|_| AtomicU32::new(0)).collect(),
            lasts: (0..ROWS).map(|_| lasts()).collect(),
            begun: PLACES.iter().map(|_| AtomicU64::new(0)).collect(),
            disorders: AtomicU64::new(0),
            strays: AtomicU64::new(0),
            example: Mutex::new(None),
        }
    }

    fn mark(&self, number: u64, what: u32) {
        self.marks[number as usize].fetch_add(what, Ordering::Relaxed);
    }

    /// A message was accepted.
    pub(crate) fn accept(&self, number: u64, is_ask: bool) {
        self.mark(number, if is_ask { ASKED } else { TOLD });
    }

    fn note_order(&self, number: u64, origin: usize, row: usize) {
        let last = self.lasts[row][origin].swap(number + 1, Ordering::Relaxed);
        if last > number {
            self.disorders.fetch_add(1, Ordering::Relaxed);
            let name = PLACES.get(row).map_or("a replica", |place| place.name);
            let last = last - 1;
            self.tell(format!(
                "`{name}` got {number} after {last}, both of sender {origin}"
            ));
        }
    }

    fn note_stray(&self, number: u64, place: usize) {
        self.strays.fetch_add(1, Ordering::Relaxed);
        let name = PLACES[place].name;
        self.tell(format!("`{name}` got {number}, which was not meant for it"));
    }

    fn tell(&self, text: String) {
        let mut example = self.example.lock().unwrap_or_else(PoisonError::into_inner);
        example.get_or_insert(text);
    }

    /// Messages that handlers of the neighbours began with.
    pub(crate) fn begun_by_neighbours(&self) -> u64 {
        let neighbours = self.begun[..NEIGHBOURS].iter();
        neighbours.map(|begun| begun.load(Ordering::Relaxed)).sum()
    }

    /// The first thing that was wrong.
    pub(crate) fn example(&self) -> Option<String> {
        let example = self.example.lock().unwrap_or_else(PoisonError::into_inner);
        example.clone()
    }

    /// Adds up all marks, when nothing is under way.
    pub(crate) fn account(&self) -> Account {
        let mut sum = Account {
            disorders: self.disorders.load(Ordering::Relaxed),
            strays: self.strays.load(Ordering::Relaxed),
            ..Account::default()
        };
        for (number, marks) in self.marks.iter().enumerate() {
            let marks = u64::from(marks.load(Ordering::Relaxed));
            let (told, asked) = (marks & 15, marks >> 4 & 15);
            let [handled, failed, gone] = [8, 16, 24].map(|shift| marks >> shift & 255);
            let (accepted, ended) = (told + asked, handled + failed + gone);
            sum.accepted += accepted;
            sum.handled += handled;
            sum.failed += failed;
            sum.gone += gone;
            sum.dead += (failed + gone) * told.min(1);
            sum.lost += accepted.saturating_sub(ended);
            sum.twice += u64::from(ended > 1);
            sum.phantoms += u64::from(accepted == 0 && ended > 0);
            if accepted != ended.min(1) || ended > 1 {
                self.tell(format!(
                    "message {number}: accepted {accepted}, handled {handled}, failed {failed}, gone {gone}"
                ));
            }
        }
        sum
    }
}

/// What a handler is to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Handle,
    /// Handle it after a short sleep.
    Sleep,
    Panic,
    Fail,
    /// Have the subsystem stop itself.
    Stop,
    /// The drop of the message panics, wherever that is.
    BurnMessage,
    /// Handle it, with a reply whose drop panics.
    BurnReply,
    /// Panic with a payload whose drop panics.
    Explode,
    /// Fail with an error that panics when it is put in words.
    Resent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Begun,
    /// Its mark is made, or none is to be made.
    Over,
}

/// What a message carries: its number, and what is to become of it.
pub(crate) struct Slip {
    log: Arc<Log>,
    number: u64,
    origin: u16,
    place: u16,
    fate: Fate,
    stage: Stage,
}

impl Slip {
    pub(crate) fn new(
        log: &Arc<Log>,
        number: u64,
        origin: usize,
        place: usize,
        fate: Fate,
    ) -> Self {
        Slip {
            log: log.clone(),
            number,
            origin: origin as u16,
            place: place as u16,
            fate,
            stage: Stage::Waiting,
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A capture that goes with it.
    pub(crate) fn id(&self) -> u64 {
        self.number % 1000
    }

    /// Another one with the same number, which nothing but a planted mistake needs.
    pub(crate) fn copy(&self) -> Self {
        let (origin, place) = (usize::from(self.origin), usize::from(self.place));
        Slip::new(&self.log, self.number, origin, place, self.fate)
    }

    /// It came back and goes to another place.
    pub(crate) fn send_on(&mut self, place: usize) {
        self.place = place as u16;
    }

    /// It is sent where it can't come: if it does, it counts as not accepted.
    pub(crate) fn void(mut self) -> Self {
        self.stage = Stage::Over;
        self
    }

    /// It came back and goes nowhere.
    pub(crate) fn withdraw(mut self) {
        self.stage = Stage::Over;
    }

    /// A handler of that place has begun with it.
    /// `row` is the place, or one of those that share it.
    pub(crate) fn begin(&mut self, place: usize, row: usize, id: u64) -> Fate {
        self.stage = Stage::Begun;
        if place != usize::from(self.place) || id != self.id() {
            self.log.note_stray(self.number, place);
        }
        self.log.begun[place].fetch_add(1, Ordering::Relaxed);
        let origin = usize::from(self.origin);
        self.log.note_order(self.number, origin, row);
        self.fate
    }

    /// Its handler has come to its end.
    pub(crate) fn end(mut self) {
        self.stage = Stage::Over;
        self.log.mark(self.number, HANDLED);
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        match self.stage {
            Stage::Waiting => self.log.mark(self.number, GONE),
            Stage::Begun => self.log.mark(self.number, FAILED),
            Stage::Over => return,
        }
        drop(Fuse(self.fate == Fate::BurnMessage));
    }
}
