//! The model's message, its reply, and what a handler is to do with it.

use std::sync::Arc;

use mycelia::prelude::*;
use mycelia::schedule::Priority;

use super::book::Book;
use super::faults::Token;
use super::later::{Fate, Pending};
use super::tasks::Kind;

/// What a handler is to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Quick,
    /// It works for so many microseconds.
    Work(u32),
    /// It waits for so many milliseconds.
    Wait(u32),
    Fail,
    Panic,
    /// It waits, and panics then.
    PanicLate(u32),
    /// It tells another.
    Tell(u8),
    /// It tells another if that has room.
    TryTell(u8),
    /// It asks another.
    Ask(u8),
    /// It asks another, and waits for so many milliseconds.
    AskWithin(u8, u32),
    /// It asks another, and forgets that it did.
    Forget(u8),
    /// It is kept for later, once.
    Keep,
    /// It is kept for later for as long as the subsystem is shut.
    KeepWhileShut,
    Shut,
    Open,
    /// It begins a timer or a stream.
    Start(Kind),
    /// It cancels one, of whatever subsystem.
    Cancel,
    /// It stops its subsystem.
    Stop,
    /// Its reply comes later, where its handler can have that.
    Later(Fate),
    /// It brings a reply that is to be given.
    Hand,
}

impl Deed {
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Deed::Keep | Deed::KeepWhileShut)
    }
}

#[derive(Debug, Message)]
#[message(reply = Reply)]
pub(crate) struct Work {
    pub(crate) number: u64,
    pub(crate) sender: u32,
    pub(crate) priority: Priority,
    pub(crate) is_ask: bool,
    pub(crate) was_kept: bool,
    pub(crate) deed: Deed,
    /// The number of the message that it answers in the end.
    pub(crate) answers: u64,
    /// Its sender does not know whether it is accepted.
    pub(crate) is_uncertain: bool,
    pub(crate) pending: Option<Pending>,
    pub(crate) token: Token,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) number: u64,
    pub(crate) token: Token,
}

impl Reply {
    pub(crate) fn new(book: &Arc<Book>, number: u64) -> Self {
        Reply {
            number,
            token: Token::new(book),
        }
    }
}

impl Work {
    pub(crate) fn new(book: &Arc<Book>, sender: u32, deed: Deed) -> Self {
        let number = book.number();
        Work {
            number,
            answers: number,
            is_uncertain: false,
            pending: None,
            sender,
            priority: Priority::Normal,
            is_ask: false,
            was_kept: false,
            deed,
            token: Token::new(book),
        }
    }

    /// It came back to its sender.
    pub(crate) fn take_back(mut self) {
        self.token.defuse();
        self.token.is_to_block(false);
    }

    pub(crate) fn asked(self) -> Self {
        Work {
            is_ask: true,
            ..self
        }
    }
}

/// The names of all subsystems.
pub(crate) struct Names {
    /// Those that are sent to.
    pub(crate) targets: Vec<String>,
    /// Replicas have one each, after those that they share.
    pub(crate) all: Vec<String>,
}

impl Names {
    /// A subsystem's number as a sender.
    pub(crate) fn number_of(&self, name: &str) -> u32 {
        let at = self.all.iter().position(|one| one == name);
        SUBSYSTEMS + at.unwrap_or(0) as u32
    }

    pub(crate) fn path(&self, of: u8) -> String {
        let target = usize::from(of) % self.targets.len();
        format!("{}://work", self.targets[target])
    }
}

/// Numbers of senders: clients count from 1, subsystems from here.
pub(crate) const SUBSYSTEMS: u32 = 1000;
