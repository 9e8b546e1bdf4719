//! The scene: the subsystems, how each is supervised, and what their handlers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mycelia::error::MountError;
use mycelia::prelude::*;
use mycelia::schedule::Overflow;
use mycelia::supervise::{Backoff, Failure, Restart, RestartScope};

use crate::common::silence::ON_PURPOSE;
use crate::log::{Fate, Log, Slip};

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
pub(crate) const PLACES: [Place; 17] = [
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
];

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
}

/// A message.
#[derive(Message)]
#[message(reply = u64)]
pub(crate) struct Job {
    pub(crate) slip: Slip,
}

#[derive(Subsystem)]
struct Worker {
    place: usize,
}

/// A worker with children.
#[derive(Subsystem)]
struct Parent {
    place: usize,
}

#[routes]
impl Worker {
    #[restarting]
    fn count(&mut self, _: Failure, State(world): State<World>) {
        world.restarts.fetch_add(1, Ordering::Relaxed);
    }

    #[route("job/{id}")]
    async fn job(&mut self, job: Job, Path(id): Path<u64>, ctx: Context) -> anyhow::Result<u64> {
        work(self.place, job, id, &ctx).await
    }
}

#[routes]
impl Parent {
    #[restarting]
    fn count(&mut self, _: Failure, State(world): State<World>) {
        world.restarts.fetch_add(1, Ordering::Relaxed);
    }

    #[started]
    async fn begin(&mut self, ctx: Context) -> anyhow::Result<()> {
        for place in PLACES[self.place].children() {
            match ctx.mount_with(options(place), worker(place)).await {
                // The attacker may have been quicker.
                Ok(()) | Err(MountError::NameTaken { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[route("job/{id}")]
    async fn job(&mut self, job: Job, Path(id): Path<u64>, ctx: Context) -> anyhow::Result<u64> {
        work(self.place, job, id, &ctx).await
    }
}

async fn work(place: usize, job: Job, id: u64, ctx: &Context) -> anyhow::Result<u64> {
    let Job { mut slip } = job;
    match slip.begin(place, id) {
        Fate::Handle => {}
        Fate::Sleep => tokio::time::sleep(MS).await,
        Fate::Panic => panic!("{ON_PURPOSE}"),
        Fate::Fail => anyhow::bail!("failed {ON_PURPOSE}"),
        Fate::Stop => ctx.stop(),
    }
    let number = slip.number();
    slip.end();
    Ok(number)
}

fn options(place: usize) -> MountOptions {
    let place = &PLACES[place];
    (place.options)(MountOptions::new().name(place.parent().1))
}

fn worker(place: usize) -> impl Fn() -> Worker + Send + 'static {
    move || Worker { place }
}

/// Mounts a place, a parent with its children.
///
/// # Errors
/// As [`System::mount`].
pub(crate) async fn mount(system: &System, place: usize) -> Result<(), MountError> {
    let options = match PLACES[place].parent() {
        (Some(parent), _) => options(place).parent(parent),
        // The two neighbours stand on different threads, if there are any.
        (None, "calm-1") => options(place).thread(system.threads() - 1),
        (None, _) => options(place),
    };
    if PLACES[place].children().is_empty() {
        system.mount_with(options, worker(place)).await
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
            mount(&system, place).await?;
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
