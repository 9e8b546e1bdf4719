//! Replies that come later: what a handler does with one, and what becomes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mycelia::extract::Reply as LaterReply;
use mycelia::prelude::*;

use super::book::{Book, Doing, End};
use super::faults::{Grudge, ON_PURPOSE, Token};
use super::node::Node;
use super::work::{Deed, Names, Reply, Work};

/// What becomes of a reply that comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its handler does it.
    Now(Way),
    /// A spawned future does it after so many milliseconds.
    Spawned(u32, Way),
    /// Such a future spawns another, which does it.
    SpawnedTwice(Way),
    /// A task outside of the system gives it.
    Outside,
    /// A message takes it to another subsystem.
    Hand(u8),
    /// A spawned future takes it back to its subsystem.
    HandBack(u32),
    /// Another subsystem answers, if it does so in time.
    Forward(u8, u32),
    /// The subsystem keeps it until it is opened.
    Keep,
    /// It is forgotten.
    Forget,
    /// A future keeps it that never ends.
    Never,
}

/// How a reply ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Answer,
    Fail,
    Drop,
    Panic,
}

/// A reply that is to be given.
#[derive(Debug)]
pub(crate) struct Pending {
    /// None once it is given.
    reply: Option<LaterReply<Work>>,
    number: u64,
    answers: u64,
    is_ask: bool,
    /// Its handler has it.
    is_in_handler: bool,
    book: Arc<Book>,
}

impl Pending {
    pub(crate) fn new(
        reply: LaterReply<Work>,
        doing: Doing<'_>,
        work: &Work,
        book: &Arc<Book>,
    ) -> Self {
        doing.defer();
        Pending {
            reply: Some(reply),
            number: work.number,
            answers: work.answers,
            is_ask: work.is_ask,
            is_in_handler: true,
            book: book.clone(),
        }
    }

    fn leaves_handler(mut self) -> Self {
        self.is_in_handler = false;
        self
    }

    pub(crate) fn answer(mut self) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let value = Reply::new(&self.book, self.answers);
        self.ends(End::Finished, || reply.send(value));
    }

    fn fail(mut self) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let error = match !self.is_ask && self.book.faults.strike() {
            true => Grudge::new(&self.book).into(),
            false => anyhow::anyhow!("{ON_PURPOSE}"),
        };
        self.ends(End::Failed, || reply.fail(error));
    }

    /// The asker may hear of it before the one who answers goes on.
    fn ends(&self, end: End, give: impl FnOnce() -> bool) {
        self.book.end(self.number, end);
        if !give() {
            // Its subsystem has ended before.
            self.book.end(self.number, End::Cut);
        }
    }

    fn do_it(self, way: Way) {
        match way {
            Way::Answer => self.answer(),
            Way::Fail => self.fail(),
            Way::Drop => drop(self),
            Way::Panic => self.book.clone().faults.panic(),
        }
    }

    async fn forward(mut self, to: Route<Work>, limit: Duration) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let mut work = Work::new(&self.book, 0, Deed::Quick).asked();
        // No other has this number: one that waits for room may come after one that was made later.
        work.sender = FORWARDING + work.number as u32;
        work.answers = self.answers;
        // It comes back in an error, which its asker drops.
        work.token.defuse();
        self.book.asks();
        self.book.end(self.number, End::Forwarded);
        // In a pool that is too small all may wait like this.
        let _ = tokio::time::timeout(limit, reply.forward(&to, work)).await;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.reply.is_some() {
            let end = match self.is_in_handler && std::thread::panicking() {
                true => End::Panicked,
                false => End::Left,
            };
            self.book.end(self.number, end);
        }
    }
}

/// The first number of those who forward.
const FORWARDING: u32 = 1 << 24;

/// Replies that a task outside of the system gives.
#[derive(Debug, Default)]
pub(crate) struct Outside(Mutex<Vec<Pending>>, AtomicBool);

impl Outside {
    fn put(&self, pending: Pending) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(pending);
    }

    /// Gives the oldest.
    pub(crate) fn give_one(&self, way: Way) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = (!all.is_empty()).then(|| all.remove(0));
        drop(all);
        if let Some(pending) = first {
            pending.do_it(way);
        }
    }

    /// No one comes for more.
    pub(crate) fn has_ended(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// Gives all that there are, and has no one come for more.
    pub(crate) fn give_all(&self) {
        self.1.store(true, Ordering::Relaxed);
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.into_iter().for_each(Pending::answer);
    }
}

/// Does with a reply what its message says.
pub(crate) fn serve(
    node: &mut Node,
    work: Work,
    pending: Pending,
    ctx: &Context,
    system: &System,
    names: &Names,
) {
    let fate = match work.deed {
        Deed::Later(fate) => fate,
        Deed::Fail => Fate::Now(Way::Fail),
        Deed::Panic | Deed::PanicLate(_) => Fate::Now(Way::Panic),
        _ => Fate::Now(Way::Answer),
    };
    drop(work);
    let book = pending.book.clone();
    match fate {
        Fate::Now(way) => pending.do_it(way),
        Fate::Spawned(ms, way) => {
            let (pending, token) = (pending.leaves_handler(), Token::new(&book));
            ctx.spawn(async move {
                pause(ms).await;
                drop(token);
                pending.do_it(way);
            });
        }
        Fate::SpawnedTwice(way) => {
            let (pending, also) = (pending.leaves_handler(), ctx.clone());
            ctx.spawn(async move {
                also.spawn(async move {
                    pause(1).await;
                    pending.do_it(way);
                });
            });
        }
        Fate::Outside => book.outside.put(pending.leaves_handler()),
        Fate::Hand(to) => {
            let mut hand = Work::new(&book, names.number_of(ctx.name()), Deed::Hand);
            hand.pending = Some(pending.leaves_handler());
            book.told(system.try_tell(names.path(to), hand));
        }
        Fate::HandBack(ms) => hand_back(pending.leaves_handler(), ms, ctx),
        Fate::Forward(to, ms) => {
            let pending = pending.leaves_handler();
            match system.route::<Work>(names.path(to)) {
                Ok(to) => {
                    let limit = Duration::from_millis(ms.into());
                    ctx.spawn(pending.forward(to, limit));
                }
                Err(_) => pending.fail(),
            }
        }
        Fate::Keep => node.pending.push(pending.leaves_handler()),
        Fate::Forget if book.faults.may_forget() => {
            let mut pending = pending;
            std::mem::forget(pending.reply.take());
        }
        Fate::Forget => pending.answer(),
        Fate::Never => {
            let pending = pending.leaves_handler();
            ctx.spawn(async move {
                std::future::pending::<()>().await;
                drop(pending);
            });
        }
    }
}

async fn pause(ms: u32) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
    }
}

fn hand_back(pending: Pending, ms: u32, ctx: &Context) {
    let makes = move |pending: Pending| {
        let mut hand = Work::new(&pending.book, 0, Deed::Hand);
        hand.sender = FORWARDING + hand.number as u32;
        hand.is_uncertain = true;
        pending.book.may_tell();
        hand.pending = Some(pending);
        hand
    };
    let waits = async move {
        pause(ms).await;
        pending
    };
    // No one is there any more once the system has stopped: the reply goes with the future.
    let _ = ctx.spawn_then("work", waits, makes);
}
