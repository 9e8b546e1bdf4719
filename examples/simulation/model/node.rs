//! The model's subsystem: it does what a message tells it to.

use std::sync::Arc;
use std::time::Duration;

use mycelia::OrLater;
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::supervise::Failure;

use super::book::{Book, Doing, End};
use super::faults::{Fussy, Grudge, ON_PURPOSE, Token};
use super::futures;
use super::later::{self, Pending};
use super::tasks::{self, Item, Life};
use super::work::{Deed, Names, Reply, Work};

#[derive(Subsystem)]
pub(crate) struct Node {
    is_shut: bool,
    /// None before it has had a timer or a stream.
    life: Option<Life>,
    /// Replies that are given when it is opened.
    pub(crate) pending: Vec<Pending>,
    _token: Token,
}

/// Makes nodes.
pub(crate) fn factory(book: &Arc<Book>) -> impl Fn() -> Node + Clone + Send + 'static + use<> {
    let book = book.clone();
    let token = Arc::new(Token::new(&book));
    move || {
        let _ = &token;
        book.faults.perhaps_panic();
        Node {
            is_shut: false,
            life: None,
            pending: Vec::new(),
            _token: Token::new(&book),
        }
    }
}

/// What may go wrong in a hook.
async fn hook(book: &Book) -> anyhow::Result<()> {
    book.faults.perhaps_panic();
    if book.faults.strike() {
        anyhow::bail!("{ON_PURPOSE}");
    }
    if book.faults.strike() {
        tokio::task::yield_now().await;
        book.faults.panic();
    }
    Ok(())
}

#[routes]
impl Node {
    #[started]
    async fn begin(&mut self, State(book): State<Book>) -> anyhow::Result<()> {
        hook(&book).await
    }

    #[restarting]
    async fn begin_again(&mut self, _: Failure, State(book): State<Book>) -> anyhow::Result<()> {
        hook(&book).await
    }

    #[stopped]
    async fn end(&mut self, _: EndReason, State(book): State<Book>) -> anyhow::Result<()> {
        hook(&book).await
    }

    #[route("work")]
    async fn work(
        &mut self,
        work: Work,
        ctx: Context,
        system: System,
        State(book): State<Book>,
        State(names): State<Names>,
    ) -> anyhow::Result<OrLater<Reply, Work>> {
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
    ) -> anyhow::Result<OrLater<Reply, Work>> {
        serve(self, work, ctx, system, book, names).await
    }

    /// Its reply comes later.
    #[route("later")]
    fn later(
        &mut self,
        work: Work,
        reply: mycelia::extract::Reply<Work>,
        ctx: Context,
        system: System,
        State(book): State<Book>,
        State(names): State<Names>,
    ) {
        let pending = Pending::new(reply, book.begin(ctx.name(), &work), &work, &book);
        later::serve(self, work, pending, &ctx, &system, &names);
    }

    /// The same, with an await.
    #[route("later/wait")]
    async fn later_async(
        &mut self,
        work: Work,
        ctx: Context,
        reply: mycelia::extract::Reply<Work>,
        system: System,
        State(book): State<Book>,
        State(names): State<Names>,
    ) {
        let pending = Pending::new(reply, book.begin(ctx.name(), &work), &work, &book);
        tokio::time::sleep(Duration::from_millis(1)).await;
        later::serve(self, work, pending, &ctx, &system, &names);
    }

    /// What a timer or a stream sends.
    #[route("item")]
    async fn item(&mut self, mut item: Item, ctx: Context, State(book): State<Book>) {
        let doing = book.begin(ctx.name(), &item.work);
        item.begin();
        match item.work.deed {
            Deed::Panic => book.faults.panic(),
            Deed::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
            Deed::Work(us) => mycelia_test::spend(Duration::from_micros(us.into())),
            _ => {}
        }
        drop(item);
        doing.end(End::Finished);
    }

    /// As `work`, without an await.
    #[route("quick")]
    fn quick(
        &mut self,
        work: Work,
        ctx: Context,
        State(book): State<Book>,
    ) -> anyhow::Result<Reply> {
        serve_quickly(work, ctx.name(), &book, End::Finished, || ())
    }

    /// As `quick`, with a capture whose drop may panic.
    #[route("fussy/{word}")]
    fn fussy(
        &mut self,
        work: Work,
        Path(word): Path<Fussy>,
        ctx: Context,
        State(book): State<Book>,
    ) -> anyhow::Result<Reply> {
        serve_quickly(work, ctx.name(), &book, End::Finished, || drop(word))
    }

    /// As `quick`, later: a simulation has no threads for handlers that block.
    #[route("blocking", blocking)]
    fn blocking(
        &mut self,
        mut work: Work,
        ctx: Context,
        State(book): State<Book>,
    ) -> anyhow::Result<Reply> {
        work.token.is_to_block(false);
        serve_quickly(work, ctx.name(), &book, End::Returned, || ())
    }
}

fn serve_quickly(
    work: Work,
    name: &str,
    book: &Arc<Book>,
    end: End,
    first: impl FnOnce(),
) -> anyhow::Result<Reply> {
    let doing = book.begin(name, &work);
    if end == End::Returned {
        doing.blocks();
    }
    first();
    match work.deed {
        Deed::Fail => return fail(work, doing, book),
        Deed::Panic | Deed::PanicLate(_) => book.faults.panic(),
        Deed::Work(us) => mycelia_test::spend(Duration::from_micros(us.into())),
        _ => {}
    }
    let reply = Reply::new(book, work.answers);
    drop(work);
    doing.end(end);
    Ok(reply)
}

/// Returns an error. One that no one is asked to take may misbehave itself.
fn fail<T>(mut work: Work, doing: Doing<'_>, book: &Arc<Book>) -> anyhow::Result<T> {
    work.token.defuse();
    doing.end(End::Failed);
    match !work.is_ask && book.faults.strike() {
        true => Err(Grudge::new(book).into()),
        false => anyhow::bail!("{ON_PURPOSE}"),
    }
}

async fn serve(
    node: &mut Node,
    mut work: Work,
    ctx: Context,
    system: System,
    book: Arc<Book>,
    names: Arc<Names>,
) -> anyhow::Result<OrLater<Reply, Work>> {
    let doing = book.begin(ctx.name(), &work);
    let me = names.number_of(ctx.name());
    let next = |deed| Work::new(&book, me, deed);
    match work.deed {
        Deed::Quick => {}
        Deed::Work(us) => mycelia_test::spend(Duration::from_micros(us.into())),
        Deed::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
        Deed::Fail => return fail(work, doing, &book),
        Deed::Panic => book.faults.panic(),
        Deed::PanicLate(ms) => {
            tokio::time::sleep(Duration::from_millis(ms.into())).await;
            book.faults.panic()
        }
        Deed::Tell(to) => {
            let told = system.tell(names.path(to), next(Deed::Quick)).await;
            book.told(told);
        }
        Deed::TryTell(to) => {
            let told = system.try_tell(names.path(to), next(Deed::Work(20)));
            book.told(told);
        }
        Deed::Ask(to) => {
            let next = next(Deed::Quick).asked();
            let number = next.number;
            book.asks();
            let asked = system.ask(names.path(to), next).await;
            book.asked(number, asked);
        }
        Deed::AskWithin(to, ms) => {
            let next = next(Deed::Wait(1)).asked();
            let number = next.number;
            book.asks();
            let limit = Duration::from_millis(ms.into());
            let asked = system.ask_within(names.path(to), next, limit).await;
            book.asked(number, asked);
        }
        Deed::Forget(to) if book.faults.may_forget() => {
            let next = next(Deed::Quick).asked();
            let number = next.number;
            book.asks();
            match futures::begin_and_forget(system.ask(names.path(to), next)) {
                Some(asked) => book.asked(number, asked),
                None => book.faults.forgot(),
            }
        }
        Deed::Keep if !work.was_kept => {
            work.was_kept = true;
            doing.keep();
            return Ok(mycelia::later(work));
        }
        Deed::KeepWhileShut if node.is_shut => {
            doing.keep();
            return Ok(mycelia::later(work));
        }
        Deed::Keep | Deed::KeepWhileShut | Deed::Forget(_) => {}
        Deed::Shut => node.is_shut = true,
        Deed::Open => {
            node.is_shut = false;
            node.pending.drain(..).for_each(Pending::answer);
        }
        Deed::Start(kind) => tasks::start(kind, &mut node.life, &ctx, &book),
        Deed::Cancel => book.tasks.cancel_one(),
        Deed::Stop => ctx.stop(),
        Deed::Hand => {
            if let Some(pending) = work.pending.take() {
                pending.answer();
            }
        }
        Deed::Later(_) => {}
    }
    let reply = Reply::new(&book, work.answers);
    drop(work);
    doing.end(End::Finished);
    Ok(OrLater::Reply(reply))
}
