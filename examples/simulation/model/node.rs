//! The model's subsystem: it does what a message tells it to.

use std::sync::Arc;
use std::time::Duration;

use mycelia::prelude::*;
use mycelia::schedule::Priority;
use mycelia::{OrLater, later};

use super::book::{Book, End};
use super::tasks::{self, Item, Kind, Life};

/// What panics on purpose say, so that they can be kept out of the output.
pub(crate) const ON_PURPOSE: &str = "on purpose";

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
}

impl Deed {
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Deed::Keep | Deed::KeepWhileShut)
    }
}

#[derive(Debug, Message)]
#[message(reply = u64)]
pub(crate) struct Work {
    pub(crate) number: u64,
    pub(crate) sender: u32,
    pub(crate) priority: Priority,
    pub(crate) is_ask: bool,
    pub(crate) was_kept: bool,
    pub(crate) deed: Deed,
}

impl Work {
    pub(crate) fn new(book: &Book, sender: u32, deed: Deed) -> Self {
        Work {
            number: book.number(),
            sender,
            priority: Priority::Normal,
            is_ask: false,
            was_kept: false,
            deed,
        }
    }

    pub(crate) fn asked(self) -> Self {
        Work {
            is_ask: true,
            ..self
        }
    }
}

/// The names of all subsystems.
pub(crate) struct Names(pub(crate) Vec<String>);

impl Names {
    pub(crate) fn path(&self, of: u8) -> String {
        format!("{}://work", self.0[usize::from(of) % self.0.len()])
    }
}

/// Numbers of senders: clients count from 1, subsystems from here.
pub(crate) const SUBSYSTEMS: u32 = 1000;

#[derive(Default, Subsystem)]
pub(crate) struct Node {
    is_shut: bool,
    /// None before it has had a timer or a stream.
    life: Option<Life>,
}

#[routes]
impl Node {
    #[route("work")]
    async fn work(
        &mut self,
        work: Work,
        ctx: Context,
        system: System,
        State(book): State<Book>,
        State(names): State<Names>,
    ) -> anyhow::Result<OrLater<u64, Work>> {
        serve(self, work, ctx, system, book, names).await
    }

    #[route("slot/{slot}")]
    async fn slot(
        &mut self,
        work: Work,
        Path(_): Path<u32>,
        ctx: Context,
        system: System,
        State(book): State<Book>,
        State(names): State<Names>,
    ) -> anyhow::Result<OrLater<u64, Work>> {
        serve(self, work, ctx, system, book, names).await
    }

    /// What a timer or a stream sends.
    #[route("item")]
    async fn item(&mut self, mut item: Item, ctx: Context, State(book): State<Book>) {
        let doing = book.begin(ctx.name(), &item.work);
        item.begin();
        match item.work.deed {
            Deed::Panic => panic!("{ON_PURPOSE}"),
            Deed::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
            Deed::Work(us) => mycelia::test::spend(Duration::from_micros(us.into())),
            _ => {}
        }
        doing.end(End::Finished);
    }

    /// As `work`, without an await.
    #[route("quick")]
    fn quick(&mut self, work: Work, ctx: Context, State(book): State<Book>) -> anyhow::Result<u64> {
        let doing = book.begin(ctx.name(), &work);
        match work.deed {
            Deed::Fail => {
                doing.end(End::Failed);
                anyhow::bail!("{ON_PURPOSE}")
            }
            Deed::Panic | Deed::PanicLate(_) => panic!("{ON_PURPOSE}"),
            Deed::Work(us) => mycelia::test::spend(Duration::from_micros(us.into())),
            _ => {}
        }
        doing.end(End::Finished);
        Ok(work.number)
    }
}

async fn serve(
    node: &mut Node,
    mut work: Work,
    ctx: Context,
    system: System,
    book: Arc<Book>,
    names: Arc<Names>,
) -> anyhow::Result<OrLater<u64, Work>> {
    let doing = book.begin(ctx.name(), &work);
    let me = names.0.iter().position(|name| name == ctx.name());
    let me = SUBSYSTEMS + me.unwrap_or(0) as u32;
    let next = |deed| Work::new(&book, me, deed);
    match work.deed {
        Deed::Quick => {}
        Deed::Work(us) => mycelia::test::spend(Duration::from_micros(us.into())),
        Deed::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
        Deed::Fail => {
            doing.end(End::Failed);
            anyhow::bail!("{ON_PURPOSE}")
        }
        Deed::Panic => panic!("{ON_PURPOSE}"),
        Deed::PanicLate(ms) => {
            tokio::time::sleep(Duration::from_millis(ms.into())).await;
            panic!("{ON_PURPOSE}")
        }
        Deed::Tell(to) => {
            let told = system.tell(names.path(to), next(Deed::Quick)).await;
            book.told(told.is_ok());
        }
        Deed::TryTell(to) => {
            let told = system.try_tell(names.path(to), next(Deed::Work(20)));
            book.told(told.is_ok());
        }
        Deed::Ask(to) => {
            let next = next(Deed::Quick).asked();
            let number = next.number;
            book.asks();
            let asked = system.ask(names.path(to), next).await;
            book.asked(number, &asked);
        }
        Deed::AskWithin(to, ms) => {
            let next = next(Deed::Wait(1)).asked();
            let number = next.number;
            book.asks();
            let limit = Duration::from_millis(ms.into());
            let asked = system.ask_within(names.path(to), next, limit).await;
            book.asked(number, &asked);
        }
        Deed::Keep if !work.was_kept => {
            work.was_kept = true;
            doing.keep();
            return Ok(later(work));
        }
        Deed::KeepWhileShut if node.is_shut => {
            doing.keep();
            return Ok(later(work));
        }
        Deed::Keep | Deed::KeepWhileShut => {}
        Deed::Shut => node.is_shut = true,
        Deed::Open => node.is_shut = false,
        Deed::Start(kind) => tasks::start(kind, &mut node.life, &ctx, &book),
        Deed::Cancel => book.tasks.cancel_one(),
        Deed::Stop => ctx.stop(),
    }
    doing.end(End::Finished);
    Ok(OrLater::Reply(work.number))
}
