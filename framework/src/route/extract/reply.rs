//! A reply that comes later: what a handler takes that does not answer at once.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Clock, Due, Stamp};
use crate::base::user_code::discard;
use crate::envelope::Envelope;
use crate::envelope::Unanswered;
use crate::envelope::deferral::{DeferralRight, DeferredEnd};
use crate::envelope::pool::Pool;
use crate::mailbox::Mailbox;
use crate::thread::Local;
use crate::words::message::Message;
use crate::words::trace::TraceId;

/// The right to answer a message after its handler has returned, once, from any thread.
///
/// A handler that takes it returns nothing, and its subsystem goes on with the next message at once: so a
/// subsystem can have as many asks under way as its mailbox has room for. Until the reply is given the message
/// counts as waiting, in the ledger, for the mailbox's capacity, and for a stop; its latency ends with the
/// reply. An `async` handler may take it too; a `blocking` one may not.
///
/// It is dropped without an answer: the asker gets [`AskError::NoReply`](crate::error::AskError::NoReply) at
/// once, and a dead letter tells of it. A message that was told, and not asked, is handled with the drop. If the
/// handler panics while it has the reply, the message fails as any other does. When the subsystem ends by a
/// stop whose deadline has passed, the asker is told so, and the reply does nothing any more.
///
/// While the message waits, its asker counts as waiting for this subsystem: a handler of it that asks the asker
/// back is refused with `WaitCycle`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use std::time::Duration;
///
/// #[derive(Message)]
/// #[message(reply = String)]
/// struct Fetch(u32);
///
/// #[derive(Subsystem, Default)]
/// struct Web;
///
/// #[routes]
/// impl Web {
///     #[route("page")]
///     fn fetch(&mut self, Fetch(n): Fetch, reply: Reply<Fetch>, ctx: Context) {
///         ctx.spawn(async move {
///             tokio::time::sleep(Duration::from_millis(10)).await;
///             reply.send(format!("page {n}"));
///         });
///     }
/// }
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let system = System::builder().start().await?;
/// system.mount(Web::default).await?;
/// let pages = system.route::<Fetch>("web://page")?;
/// // Both are under way at the same time.
/// let (one, two) = tokio::join!(pages.ask(Fetch(1)), pages.ask(Fetch(2)));
/// assert_eq!((&*one?, &*two?), ("page 1", "page 2"));
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[must_use = "the asker gets an error if it is dropped"]
pub struct Reply<M: Message> {
    pub(crate) deferrals: Arc<Deferrals>,
    /// None once it is given.
    right: Option<DeferralRight>,
    index: u32,
    is_ask: bool,
    pub(crate) due: Due,
    pub(crate) trace: TraceId,
    message: PhantomData<fn(M)>,
}

/// What the replies of one subsystem share.
pub(crate) struct Deferrals {
    pub(crate) pool: Arc<Pool>,
    pub(crate) mailbox: Arc<Mailbox>,
    clock: Clock,
    pub(crate) right: DeferralRight,
}

impl Deferrals {
    pub(crate) fn new(pool: Arc<Pool>, mailbox: Arc<Mailbox>, clock: Clock, mount: u64) -> Self {
        Deferrals {
            right: DeferralRight::of_mount(mount),
            pool,
            mailbox,
            clock,
        }
    }
}

impl<M: Message> Reply<M> {
    /// Takes the right over from the handler's envelope.
    pub(crate) fn of(deferrals: Arc<Deferrals>, envelope: Envelope<'_>, started: Stamp) -> Self {
        let (index, trace) = (envelope.index(), envelope.trace());
        let (is_ask, due) = (envelope.head().is_ask, envelope.head().due);
        let right = deferrals.right;
        let deferral = deferrals.pool.slab.deferral(index);
        deferral.open(envelope.into_token(), right, started);
        Reply {
            deferrals,
            right: Some(right),
            index,
            is_ask,
            due,
            trace,
            message: PhantomData,
        }
    }

    /// Answers. True if the message was still to be ended: false after its subsystem has ended.
    ///
    /// If no one waits for the answer any more it is dropped, and the message counts as handled.
    pub fn send(mut self, reply: M::Reply) -> bool {
        if self.is_ask {
            self.end(DeferredEnd::Answered, |envelope| envelope.put(reply))
        } else {
            discard(reply);
            self.end(DeferredEnd::Answered, |_| {})
        }
    }

    /// Answers with an error: the asker gets [`AskError::Failed`](crate::error::AskError::Failed) with it. True
    /// if the message was still to be ended. Under a policy that
    /// [restarts on an error](crate::MountOptions::restart_on_error) the subsystem fails.
    pub fn fail(mut self, error: impl Into<anyhow::Error>) -> bool {
        let error = error.into();
        self.end(DeferredEnd::Failed, |envelope| {
            envelope.put(Unanswered::Failed(error));
        })
    }

    /// True if an asker waits for the answer: not for a message that was told, nor after the asker has gone or
    /// its deadline has passed.
    pub fn is_wanted(&self) -> bool {
        let slab = &self.deferrals.pool.slab;
        let is_open = self
            .right
            .is_some_and(|right| slab.deferral(self.index).is_open(right));
        self.is_ask
            && is_open
            && !slab.slot(self.index).reply.is_abandoned()
            && !self.due.is_past(self.deferrals.clock.now())
    }

    /// The time left until the asker's deadline, if it has one.
    pub fn remaining(&self) -> Option<Duration> {
        let (clock, due) = (&self.deferrals.clock, self.due.stamp()?);
        Some(Duration::from_nanos(clock.between_ns(clock.now(), due)))
    }

    /// The trace that the message belongs to.
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    fn end(&mut self, how: DeferredEnd, fill: impl FnOnce(&mut Envelope<'_>)) -> bool {
        let Some(right) = self.right.take() else {
            return false;
        };
        let Deferrals { pool, mailbox, .. } = &*self.deferrals;
        let Some(mut envelope) = pool.slab.claim(self.index, right) else {
            // What was to be given goes with it.
            discard(fill);
            return false;
        };
        fill(&mut envelope);
        envelope.head_mut().deferred = how;
        mailbox.give_back(&pool.links, envelope.into_token(), &Local::of(pool));
        true
    }
}

impl<M: Message> Drop for Reply<M> {
    fn drop(&mut self) {
        self.end(DeferredEnd::Dropped, |_| {});
    }
}

impl<M: Message> fmt::Debug for Reply<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({})", self.deferrals.mailbox.name)
    }
}
