//! The model's timers and streams: what each was to send, what it has made, and what came of that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream;
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Priority, Task};
use tokio::time::Instant;

use super::book::Book;
use super::faults::Token;
use super::work::{Deed, Work};

/// Numbers of senders: timers and streams count from here.
const SOURCES: u32 = 100_000;

/// What one of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It sends once, after so many milliseconds.
    After(u32),
    /// It sends every so many milliseconds, and is cancelled after so many messages.
    Every(u32, u32, MissedTick),
    /// It sends so many.
    Stream(u32),
}

impl Kind {
    /// Its messages are asked for, and no one listens.
    fn asks(self) -> bool {
        matches!(self, Kind::Every(.., MissedTick::Skip))
    }
}

/// A timer or a stream.
#[derive(Debug)]
struct Source {
    kind: Kind,
    /// The life of a subsystem that it belongs to.
    life: usize,
    /// It fires no sooner.
    due: Option<Instant>,
    task: Option<Task>,
    is_being_cancelled: bool,
    cancelled_at: Option<Instant>,
    made: u32,
    begun: u32,
    /// Messages that came to their end before any handler began with them.
    gone: u32,
}

/// All of one simulation.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sources: Vec<Source>,
    /// True for the lives of subsystems that have ended.
    ended: Vec<bool>,
    violations: Vec<String>,
    counts: Counts,
}

/// What came of all.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Messages of timers that were begun.
    pub(crate) fired: u64,
    /// The same of streams.
    pub(crate) items: u64,
    pub(crate) cancelled: u64,
    /// Messages that were begun: told, and asked for.
    pub(crate) told: u64,
    pub(crate) asked: u64,
    /// Messages that no handler began with: they may have been accepted, or not.
    pub(crate) gone_told: u64,
    pub(crate) gone_asked: u64,
}

/// One life of a subsystem: it ends with its value, and its timers and streams with it.
#[derive(Debug)]
pub(crate) struct Life {
    book: Arc<Book>,
    number: usize,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.book.tasks.state().ended[self.number] = true;
    }
}

/// What a timer or a stream sends.
#[derive(Debug, Message)]
pub(crate) struct Item {
    pub(crate) work: Work,
    held: Held,
}

/// Tells when a message ends that no handler has begun with.
#[derive(Debug)]
struct Held {
    book: Arc<Book>,
    source: usize,
    is_begun: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_begun {
            let mut state = self.book.tasks.state();
            let source = &mut state.sources[self.source];
            source.gone += 1;
            match source.kind.asks() {
                true => state.counts.gone_asked += 1,
                false => state.counts.gone_told += 1,
            }
        }
    }
}

impl Tasks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> usize {
        let mut state = self.state();
        state.ended.push(false);
        state.ended.len() - 1
    }

    fn enter(&self, kind: Kind, life: usize) -> usize {
        let due = match kind {
            Kind::After(ms) => Some(Instant::now() + Duration::from_millis(ms.into())),
            _ => None,
        };
        let mut state = self.state();
        state.sources.push(Source {
            kind,
            life,
            due,
            task: None,
            is_being_cancelled: false,
            cancelled_at: None,
            made: 0,
            begun: 0,
            gone: 0,
        });
        state.sources.len() - 1
    }

    /// Cancels the first that can be.
    pub(crate) fn cancel_one(&self) {
        let found = {
            let State { sources, ended, .. } = &*self.state();
            sources.iter().position(|source| {
                !source.is_being_cancelled && source.task.is_some() && !ended[source.life]
            })
        };
        if let Some(at) = found {
            self.cancel(at);
        }
    }

    fn cancel(&self, at: usize) {
        let task = {
            let mut state = self.state();
            let source = &mut state.sources[at];
            source.is_being_cancelled |= source.task.is_some();
            source.task.clone()
        };
        if let Some(task) = task {
            task.cancel();
            let mut state = self.state();
            state.counts.cancelled += 1;
            state.sources[at].cancelled_at.get_or_insert(Instant::now());
        }
    }

    /// A handler begins with a message.
    fn begin(&self, at: usize) {
        let mut state = self.state();
        let source = &mut state.sources[at];
        source.begun += 1;
        let kind = source.kind;
        let too_early =
            (source.due.zip(source.cancelled_at)).is_some_and(|(due, cancelled)| cancelled < due);
        let counts = &mut state.counts;
        match kind {
            Kind::Stream(_) => counts.items += 1,
            _ => counts.fired += 1,
        }
        match kind.asks() {
            true => counts.asked += 1,
            false => counts.told += 1,
        }
        if too_early {
            let what = format!("a timer fires that was cancelled before its time: {kind:?}");
            state.violations.push(what);
        }
    }

    /// What must not have happened, if anything did.
    pub(crate) fn violation(&self) -> Option<String> {
        self.state().violations.first().cloned()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// A timer or a stream that is to do something yet, if there is one: neither has it ended with its
    /// subsystem, nor was it cancelled. `nothing_is_dropped` says that mailboxes lose nothing.
    pub(crate) fn pending(&self, nothing_is_dropped: bool) -> Option<String> {
        let state = self.state();
        let lives = |source: &&Source| !source.is_being_cancelled && !state.ended[source.life];
        let is_done = |source: &Source| match source.kind {
            Kind::After(_) | Kind::Stream(_) if nothing_is_dropped => {
                source.begun == source.wanted()
            }
            Kind::After(_) | Kind::Stream(_) => source.begun + source.gone == source.wanted(),
            Kind::Every(..) => false,
        };
        let mut sources = state.sources.iter().filter(lives);
        sources
            .find(|source| !is_done(source))
            .map(|source| format!("{source:?}"))
    }
}

impl Source {
    /// How many messages it is to send.
    fn wanted(&self) -> u32 {
        match self.kind {
            Kind::After(_) => 1,
            Kind::Every(_, most, _) | Kind::Stream(most) => most,
        }
    }
}

/// Makes the next message of a source.
fn make(book: &Arc<Book>, at: usize) -> Item {
    book.faults.perhaps_panic();
    let (kind, made) = {
        let mut state = book.tasks.state();
        let State {
            sources,
            ended,
            violations,
            ..
        } = &mut *state;
        let source = &mut sources[at];
        source.made += 1;
        if source.cancelled_at.is_some() {
            violations.push(format!("it goes on after it was cancelled: {source:?}"));
        }
        if ended[source.life] {
            violations.push(format!("it goes on without its subsystem: {source:?}"));
        }
        (source.kind, source.made)
    };
    let number = book.number();
    let deed = match number % 64 {
        0 => Deed::Panic,
        1..8 => Deed::Wait(1),
        8..16 => Deed::Work(100),
        _ => Deed::Quick,
    };
    let mut work = Work::new(book, SOURCES + at as u32, deed);
    work.is_ask = kind.asks();
    work.priority = match kind {
        Kind::Stream(_) => Priority::Normal,
        _ => Priority::High,
    };
    if let Kind::Every(_, most, _) = kind
        && made >= 3 * most
    {
        // None of its messages got through.
        book.tasks.cancel(at);
    }
    let held = Held {
        book: book.clone(),
        source: at,
        is_begun: false,
    };
    Item { work, held }
}

/// Begins a timer or a stream of a subsystem.
pub(crate) fn start(kind: Kind, life: &mut Option<Life>, ctx: &Context, book: &Arc<Book>) {
    let life = life.get_or_insert_with(|| Life {
        book: book.clone(),
        number: book.tasks.life(),
    });
    let at = book.tasks.enter(kind, life.number);
    let makes = book.clone();
    // Of the closure, or of the stream.
    let token = Token::new(book);
    let task = match kind {
        Kind::After(ms) => {
            drop(token);
            let delay = Duration::from_millis(ms.into());
            ctx.after(delay, "item", make(book, at))
        }
        Kind::Every(ms, _, missed) => {
            let period = Duration::from_millis(ms.into());
            ctx.every(period, missed, "item", move || {
                let _ = &token;
                make(&makes, at)
            })
        }
        Kind::Stream(wanted) => {
            let items = stream::unfold(0, move |made| {
                let _ = &token;
                let book = makes.clone();
                async move {
                    if made == wanted {
                        return None;
                    }
                    if made % 3 == 2 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Some((make(&book, at), made + 1))
                }
            });
            ctx.stream("item", items)
        }
    };
    // No one is there any more once the system has stopped.
    if let Ok(task) = task {
        book.tasks.state().sources[at].task = Some(task);
    }
}

impl Item {
    /// A handler begins with it.
    pub(crate) fn begin(&mut self) {
        self.held.is_begun = true;
        let Held { book, source, .. } = &self.held;
        book.tasks.begin(*source);
        let is_last = {
            let state = book.tasks.state();
            let source = &state.sources[*source];
            matches!(source.kind, Kind::Every(..)) && source.begun >= source.wanted()
        };
        if is_last {
            book.tasks.cancel(*source);
        }
    }
}
