//! The scene: the subsystems, how each is supervised, and what their handlers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use mycelia::Replicas;
use mycelia::error::MountError;
use mycelia::observe::EndReason;
use mycelia::prelude::*;
use mycelia::schedule::{MissedTick, Overflow};
use mycelia::supervise::{Backoff, Failure, Restart, RestartScope};

use crate::faults::{Faults, Fuse, Fussy, Grudge, explode};
use crate::log::{Fate, Log, Slip};
use examples_lib::silence::ON_PURPOSE;

const MS: Duration = Duration::from_millis(1);

/// Those who send: the senders, at most 64, and the attacker.
pub(crate) const ORIGINS: usize = 65;
pub(crate) const ATTACKER: usize = ORIGINS - 1;

/// The first places are those that no one attacks.
pub(crate) const NEIGHBOURS: usize = 2;

/// A subsystem that messages are sent to. One that is named `a/b` is a child of `a`.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    options: fn(MountOptions) -> MountOptions,
}

/// Every subsystem; a parent stands before its children.
pub(crate) const PLACES: [Place; 18] = [
    place("calm-0", |it| it.thread(0)),
    place("calm-1", |it| it),
    place("one", |it| it.restart_scope(RestartScope::OneForOne)),
    // Soon fails too often: its parent fails in its place.
    place("one/often", |it| it.intensity(1, 1000 * MS)),
    place("one/pauses", |it| it.backoff(Backoff::new(MS, 4 * MS))),
    place("all", |it| it.restart_scope(RestartScope::AllForOne)),
    place("all/a", |it| it),
    place("all/b", |it| it),
    place("rest", |it| it.restart_scope(RestartScope::RestForOne)),
    place("rest/a", |it| it),
    place("rest/b", |it| it.restart(Restart::Permanent)),
    place("strict", |it| {
        it.restart_on_error(true).backoff(Backoff::new(MS, MS))
    }),
    place("always", |it| it.restart(Restart::Permanent)),
    place("oldest", |it| it.capacity(8).overflow(Overflow::DropOldest)),
    place("newest", |it| it.capacity(8).overflow(Overflow::DropNewest)),
    place("guest", |it| it),
    place("mortal", |it| it.restart(Restart::Never)),
    place(SEVERAL, |it| it),
];

/// The place that is several, which share its name.
const SEVERAL: &str = "several";
const REPLICAS: usize = 3;
/// Messages of one sender keep their order within a row: a place, or one of those that share its name.
pub(crate) const ROWS: usize = PLACES.len() + REPLICAS;
/// Places with handlers that block their thread, too. They are given all the time they need to end, and none is
/// restarted because it stopped itself: a blocking handler that is cut off goes on to its end, and would note that it
/// has handled a message that counts as failed.
pub(crate) const BLOCKING: [&str; 2] = ["strict", "guest"];

const fn place(name: &'static str, options: fn(MountOptions) -> MountOptions) -> Place {
    Place { name, options }
}

impl Place {
    /// The parent's name, and its own.
    pub(crate) fn parent(&self) -> (Option<&'static str>, &'static str) {
        match self.name.split_once('/') {
            Some((parent, own)) => (Some(parent), own),
            None => (None, self.name),
        }
    }

    /// It has a handler whose reply comes later; none that block, which a failure of such a reply would cut off.
    pub(crate) fn answers_later(&self) -> bool {
        self.children().is_empty() && !BLOCKING.contains(&self.name)
    }

    /// Where its children stand.
    fn children(&self) -> Vec<usize> {
        let is_child = |other: &Place| other.parent().0 == Some(self.name);
        (0..PLACES.len())
            .filter(|at| is_child(&PLACES[*at]))
            .collect()
    }
}

/// What all subsystems of a system know.
#[derive(Default)]
pub(crate) struct World {
    /// How often one of them was restarted.
    pub(crate) restarts: AtomicU64,
    pub(crate) faults: Faults,
}

/// A message.
#[derive(Message)]
#[message(reply = Reply)]
pub(crate) struct Job {
    pub(crate) slip: Slip,
}

pub(crate) struct Reply {
    pub(crate) number: u64,
    pub(crate) fuse: Fuse,
}

/// What timers send that come to it.
#[derive(Message)]
struct Tick;

#[derive(Subsystem)]
struct Worker {
    place: usize,
    _fuse: Fuse,
}

/// A worker with children.
#[derive(Subsystem)]
struct Parent {
    place: usize,
}

#[routes]
impl Worker {
    /// Begins a timer or a stream, which panics before it sends anything.
    #[started]
    fn begin(&mut self, ctx: Context, State(world): State<World>) -> anyhow::Result<()> {
        if self.place < NEIGHBOURS {
            return Ok(());
        }
        world.faults.perhaps_panic(200);
        if BLOCKING.contains(&PLACES[self.place].name) {
            // What it blocks with goes on to its end when it fails meanwhile, and its message has failed.
            return Ok(());
        }
        if world.faults.strike(20) {
            ctx.every(MS, MissedTick::Skip, "tick", || -> Tick {
                panic!("{ON_PURPOSE}")
            })?;
        } else if world.faults.strike(20) {
            let panics =
                futures_util::stream::poll_fn(|_| -> Poll<Option<Tick>> { panic!("{ON_PURPOSE}") });
            ctx.stream("tick", panics)?;
        }
        Ok(())
    }

    #[restarting]
    fn count(&mut self, _: Failure, State(world): State<World>) {
        world.restarts.fetch_add(1, Ordering::Relaxed);
        // What is sent on comes to the neighbours as well, and may have them restarted.
        if self.place >= NEIGHBOURS {
            world.faults.perhaps_panic(200);
        }
    }

    #[stopped]
    async fn end(&mut self, _: EndReason, State(world): State<World>) {
        if self.place >= NEIGHBOURS {
            world.faults.perhaps_panic(20);
        }
    }

    #[route("tick")]
    fn tick(&mut self, _: Tick) {}

    #[route("job/{id}")]
    async fn job(&mut self, job: Job, Path(id): Path<u64>, ctx: Context) -> anyhow::Result<Reply> {
        work(self.place, job, id, &ctx).await
    }

    /// Its reply comes from beside the mailbox.
    #[route("later/{id}")]
    fn later(
        &mut self,
        job: Job,
        reply: mycelia::extract::Reply<Job>,
        Path(id): Path<u64>,
        ctx: Context,
    ) {
        let owed = Owed(Some((begin(self.place, job, id, &ctx), reply)));
        ctx.spawn(async move {
            tokio::time::sleep(MS).await;
            owed.give();
        });
    }

    #[route("fussy/{word}")]
    fn fussy(&mut self, _: Job, Path(_): Path<Fussy>) -> anyhow::Result<Reply> {
        anyhow::bail!("nothing comes here")
    }

    #[route("block/{id}", blocking)]
    fn block(&mut self, job: Job, Path(id): Path<u64>, ctx: Context) -> anyhow::Result<Reply> {
        begin(self.place, job, id, &ctx).end(&ctx)
    }
}

#[routes]
impl Parent {
    #[restarting]
    fn count(&mut self, _: Failure, State(world): State<World>) {
        world.restarts.fetch_add(1, Ordering::Relaxed);
    }

    #[started]
    async fn begin(&mut self, ctx: Context, State(world): State<World>) -> anyhow::Result<()> {
        for place in PLACES[self.place].children() {
            match ctx.mount_with(options(place), worker(place, &world)).await {
                // The attacker may have been quicker.
                Ok(()) | Err(MountError::NameTaken { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[route("job/{id}")]
    async fn job(&mut self, job: Job, Path(id): Path<u64>, ctx: Context) -> anyhow::Result<Reply> {
        work(self.place, job, id, &ctx).await
    }
}

/// What a handler is at.
struct Doing {
    slip: Slip,
    fate: Fate,
}

fn begin(place: usize, job: Job, id: u64, ctx: &Context) -> Doing {
    let Job { mut slip } = job;
    let row = match PLACES[place].name == SEVERAL {
        true => {
            let replica = ctx.name().rsplit('/').next().and_then(|at| at.parse().ok());
            PLACES.len() + replica.unwrap_or(0).min(REPLICAS - 1)
        }
        false => place,
    };
    let fate = slip.begin(place, row, id);
    Doing { slip, fate }
}

impl Doing {
    fn end(self, ctx: &Context) -> anyhow::Result<Reply> {
        let Doing { slip, fate } = self;
        match fate {
            Fate::Handle | Fate::Sleep | Fate::BurnReply => {}
            Fate::Panic => panic!("{ON_PURPOSE}"),
            Fate::Fail => anyhow::bail!("failed {ON_PURPOSE}"),
            Fate::Stop => ctx.stop(),
            Fate::BurnMessage => {
                drop(slip);
                unreachable!("its drop panics");
            }
            Fate::Explode => explode(),
            Fate::Resent => return Err(Grudge.into()),
        }
        let number = slip.number();
        slip.end();
        Ok(Reply {
            number,
            fuse: Fuse(fate == Fate::BurnReply),
        })
    }
}

/// A message whose reply is still to come. If it is dropped, its message fails.
struct Owed(Option<(Doing, mycelia::extract::Reply<Job>)>);

impl Owed {
    fn give(mut self) {
        let fate = self.0.as_ref().map(|(doing, _)| doing.fate);
        match fate {
            Some(Fate::Panic) => panic!("{ON_PURPOSE}"),
            // It fails when this is dropped.
            Some(Fate::Fail | Fate::Resent) => return,
            _ => {}
        }
        if let Some((Doing { slip, fate }, reply)) = self.0.take() {
            let number = slip.number();
            let fuse = Fuse(fate == Fate::BurnReply);
            if reply.send(Reply { number, fuse }) {
                slip.end();
            }
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some((_, reply)) = self.0.take() {
            reply.fail(anyhow::anyhow!("failed {ON_PURPOSE}"));
        }
    }
}

async fn work(place: usize, job: Job, id: u64, ctx: &Context) -> anyhow::Result<Reply> {
    let doing = begin(place, job, id, ctx);
    if doing.fate == Fate::Sleep {
        tokio::time::sleep(MS).await;
    }
    doing.end(ctx)
}

fn options(place: usize) -> MountOptions {
    let here = &PLACES[place];
    // The report tells the neighbours' latencies apart.
    let options = MountOptions::new().own_histograms(place < NEIGHBOURS);
    (here.options)(options.name(here.parent().1))
}

fn worker(
    place: usize,
    world: &Arc<World>,
) -> impl Fn() -> Worker + Clone + Send + 'static + use<> {
    let world = world.clone();
    move || {
        let is_attacked = place >= NEIGHBOURS;
        if is_attacked {
            world.faults.perhaps_panic(200);
        }
        Worker {
            place,
            _fuse: Fuse(is_attacked && world.faults.strike(50)),
        }
    }
}

/// Mounts a place, a parent with its children.
///
/// # Errors
/// As [`System::mount`].
pub(crate) async fn mount(
    system: &System,
    world: &Arc<World>,
    place: usize,
) -> Result<(), MountError> {
    let options = match PLACES[place].parent() {
        (Some(parent), _) => options(place).parent(parent),
        // The two neighbours stand on different threads, if there are any.
        (None, "calm-1") => options(place).thread(system.threads() - 1),
        (None, _) => options(place),
    };
    if PLACES[place].name == SEVERAL {
        let replicas = Replicas::by_capture(REPLICAS, "id");
        let mount = system.mount_replicas_with(replicas, options, worker(place, world));
        mount.await
    } else if PLACES[place].children().is_empty() {
        system.mount_with(options, worker(place, world)).await
    } else {
        system.mount_with(options, move || Parent { place }).await
    }
}

/// Starts a system with all subsystems.
///
/// # Errors
/// The system does not start, or a subsystem is not mounted.
pub(crate) async fn start(threads: usize, world: &Arc<World>) -> anyhow::Result<System> {
    let system = System::builder()
        .name("chaos")
        .threads(threads)
        .shared_state(world.clone())
        .start()
        .await?;
    for (place, here) in PLACES.iter().enumerate() {
        if here.parent().0.is_none() {
            mount(&system, world, place).await?;
        }
    }
    Ok(system)
}

/// A message to a place.
pub(crate) fn job(log: &Arc<Log>, number: u64, origin: usize, place: usize, fate: Fate) -> Job {
    Job {
        slip: Slip::new(log, number, origin, place, fate),
    }
}
