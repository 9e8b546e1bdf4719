//! What a contender must be able to do, so that one workload can be put to all of them.
//!
//! A workload is a script: an async function that starts actors on a *stage* and sends to their
//! addresses. It is compiled for every contender anew, so that nothing virtual stands between. On one
//! thread, the script runs as a task beside the actors; on two, the actors have a thread of their own.

use crate::tally::{Aside, Tally};

/// Room in a bounded mailbox.
pub const ROOM: usize = 4096;

/// Yields after so many tells of a sender on the thread of an actor whose room is unlimited. Measured:
/// 64 to 256 are equally good for all; more costs cache misses, less costs switches.
pub const YIELDS_AFTER: u64 = 128;

/// How many threads a script runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The script is a task on the actors' thread.
    One,
    /// The actors are on one thread, the script is on another.
    Two,
}

/// A framework or channel, in its own best idiom.
pub trait Contender: Sized + 'static {
    /// Its name in tables and filters.
    const NAME: &'static str;
    /// The package whose version is printed.
    const PACKAGE: &'static str;

    /// Where actors are started.
    type Stage: Clone + Send + Sync + 'static;
    /// How one sends to an actor.
    type Address: Address;
    /// What keeps an idle actor alive, and no more.
    type Idle: Send + Sync + 'static;

    /// Runs a script.
    ///
    /// # Errors
    /// Those of the script, and whatever the contender's own account says at its end.
    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static;

    /// Starts counting actors; they are kept alive by their addresses or by the stage.
    fn start(
        stage: &Self::Stage,
        count: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<Self::Address>>> + Send;

    /// Starts a counting actor whose senders wait while it has too much to do, if there is such a thing.
    fn start_bounded(
        stage: &Self::Stage,
    ) -> impl Future<Output = anyhow::Result<Self::Address>> + Send {
        start_one::<Self>(stage)
    }

    /// Starts actors that will idle, as fast as the contender can.
    fn start_idle(
        stage: &Self::Stage,
        count: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<Self::Idle>>> + Send;

    /// Makes sure that an idle actor lives: asks it.
    fn ask_idle(
        stage: &Self::Stage,
        idle: &Self::Idle,
    ) -> impl Future<Output = anyhow::Result<u64>> + Send;
}

/// How one sends to an actor. A send that fails panics: nothing here may be lost.
pub trait Address: Clone + Send + Sync + 'static {
    /// A sender on the actor's own thread yields after so many tells; `None` if room is bounded, so
    /// that a tell waits by itself. What is fastest for the contender.
    const YIELDS_AFTER: Option<u64> = None;
    /// Whether the messages of one sender are handled in the order sent, whenever that is checked.
    const KEEPS_ORDER: bool = true;

    /// Tells a number.
    fn tell(&self, n: u64) -> impl Future<Output = ()> + Send;

    /// Tells something off the measured path.
    fn aside(&self, aside: Aside) -> impl Future<Output = ()> + Send;

    /// Asks for a number plus one.
    fn ask(&self, n: u64) -> impl Future<Output = u64> + Send;

    /// Takes what the actor has received up to here.
    fn take(&self) -> impl Future<Output = Tally> + Send;
}

/// A contender whose actors can be reached by a text, be it a name in a registry or a path.
pub trait ByName: Contender {
    /// Where names are looked up.
    type Directory: Send + Sync + 'static;

    /// Starts a counting actor under each of the names, none of which was used before.
    fn start_named(
        stage: &Self::Stage,
        names: &[String],
    ) -> impl Future<Output = anyhow::Result<Self::Directory>> + Send;

    /// The text that `name` is reached by.
    fn text(name: &str) -> String {
        name.into()
    }

    /// Looks an actor up and tells it a number.
    fn tell_named(
        directory: &Self::Directory,
        text: &str,
        n: u64,
    ) -> impl Future<Output = ()> + Send;

    /// Takes what the actor of that name has received.
    fn take_named(directory: &Self::Directory, name: &str) -> impl Future<Output = Tally> + Send;
}

/// Makes sure that exactly the numbers `0..count` of one sender were handled, and in that order if the
/// contender keeps it.
///
/// # Errors
/// They were not.
pub fn check<A: Address>(tally: &Tally, count: u64) -> anyhow::Result<()> {
    if A::KEEPS_ORDER {
        tally.check_in_order(count)
    } else {
        tally.check(count)
    }
}

/// Starts one counting actor.
///
/// # Errors
/// It does not start.
pub async fn start_one<C: Contender>(stage: &C::Stage) -> anyhow::Result<C::Address> {
    let mut addresses = C::start(stage, 1).await?;
    addresses
        .pop()
        .ok_or_else(|| anyhow::anyhow!("no actor was started"))
}

/// Tells an actor the numbers `0..count`; yields now and then if both share a thread and the actor's
/// room is not bounded.
pub async fn tell_all<A: Address>(to: &A, count: u64, shares_thread: bool) {
    let burst = if shares_thread { A::YIELDS_AFTER } else { None };
    let burst = burst.unwrap_or(count.max(1));
    let mut next = 0;
    while next < count {
        let end = count.min(next + burst);
        while next < end {
            to.tell(next).await;
            next += 1;
        }
        if shares_thread && next < count {
            tokio::task::yield_now().await;
        }
    }
}

/// The stages of contenders that run on plain tokio.
pub mod tokio_stage {
    use super::Threads;
    use anyhow::Context;
    use tokio::runtime::{Builder, Handle, Runtime};
    use tokio::sync::oneshot;

    /// An executor for one thread, as a program would build it.
    pub fn runtime() -> std::io::Result<Runtime> {
        Builder::new_current_thread().enable_all().build()
    }

    /// Runs a future as a task of a fresh executor on this thread. A task, since waking the future
    /// that `block_on` itself runs costs a system call each time.
    ///
    /// # Errors
    /// Those of the future; its panic.
    pub fn run_here<R, Fut>(future: Fut) -> anyhow::Result<R>
    where
        R: Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        let runtime = runtime()?;
        let task = runtime.spawn(future);
        runtime.block_on(task).context("a script panicked")?
    }

    /// [`Contender::play`](super::Contender::play) for a stage that is a tokio executor.
    ///
    /// # Errors
    /// Those of the script; its panic.
    pub fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Handle) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        match threads {
            Threads::One => run_here(async move { script(Handle::current()).await }),
            Threads::Two => {
                let there = runtime()?;
                let stage = there.handle().clone();
                let (stop, stops) = oneshot::channel::<()>();
                let thread = std::thread::spawn(move || {
                    let _ = there.block_on(stops);
                });
                let result = run_here(async move { script(stage).await });
                drop(stop);
                let ended = thread.join();
                let result = result?;
                ended.ok().context("the actors' thread panicked")?;
                Ok(result)
            }
        }
    }
}
