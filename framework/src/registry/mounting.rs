//! How subsystems begin: one, or many at once, of which then all stand or none.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, Context, Handler, ResponseActFuture, WrapFuture};
use rustc_hash::FxHashSet;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Moving, Registry, ending};
use crate::directory::{Below, Mounted, Placing};
use crate::error::MountError;
use crate::events::Change;
use crate::host::standing::{Fallen, Standing, standing};
use crate::replicas::{Choice, Group};
use crate::route::RouteMap;
use crate::shared::{Phase, Shared};
use crate::supervision::{Policy, Together};

/// Starts a host on the thread where it is called.
pub(crate) type Launch = Box<dyn FnOnce(Arc<Shared>, Arc<Mounted>, Standing) + Send>;

/// Most names that the registry keeps room for while no subsystem begins or ends.
const MOVING: usize = 64;

/// Mounts subsystems.
#[derive(actix::Message)]
#[rtype(result = "Result<(), MountError>")]
pub(crate) struct Mount {
    pub(crate) parent: Option<Below>,
    /// The name that they share, if they do; theirs follow it.
    pub(crate) front: Option<Front>,
    pub(crate) each: Vec<One>,
}

/// A name for several.
pub(crate) struct Front {
    /// With its parent's name before it, if it has one.
    pub(crate) name: Arc<str>,
    pub(crate) map: Arc<RouteMap>,
    pub(crate) choice: Choice,
}

/// A subsystem to be mounted.
pub(crate) struct One {
    /// With its parent's name before it, if it has one.
    pub(crate) name: Arc<str>,
    pub(crate) thread: Option<usize>,
    pub(crate) weight: u32,
    pub(crate) wait_goal: Option<Duration>,
    pub(crate) policy: Policy,
    pub(crate) together: Together,
    pub(crate) map: Arc<RouteMap>,
    pub(crate) launch: Launch,
}

/// Whether subsystems can be mounted under their names.
enum Names {
    Free,
    /// Not before this one has left.
    Leaving(watch::Receiver<()>),
}

impl Mount {
    fn names(&self) -> impl Iterator<Item = &str> {
        let front = self.front.iter().map(|front| &*front.name);
        front.chain(self.each.iter().map(|one| &*one.name))
    }

    /// The text before the names that the caller gave.
    fn prefix(&self) -> Option<&str> {
        let below = self.parent.as_ref()?;
        Some(&below.parent.seat.name)
    }
}

/// True for a name that a subsystem may have below one of the name `prefix`.
fn is_good(name: &str, prefix: Option<&str>) -> bool {
    let own_name = match prefix {
        None => Some(name),
        Some(prefix) => (name.strip_prefix(prefix)).and_then(|rest| rest.strip_prefix('/')),
    };
    mycelia_core::check_name(name).is_ok() && own_name.is_some_and(|name| !name.contains('/'))
}

impl Registry {
    fn check(&self, mount: &Mount) -> Result<Names, MountError> {
        if self.shared.phase() != Phase::Open {
            return Err(MountError::Stopped);
        }
        if let Some(refusal) = mount.parent.as_ref().and_then(Below::refusal) {
            return Err(refusal);
        }
        let threads = self.threads.len();
        for one in &mount.each {
            if let Some(thread) = one.thread.filter(|thread| *thread >= threads) {
                return Err(MountError::NoThread { thread, threads });
            }
        }
        let bad = match &mount.front {
            None => (mount.names()).find(|name| !is_good(name, mount.prefix())),
            Some(front) => Some(&*front.name).filter(|name| !is_good(name, mount.prefix())),
        };
        if let Some(name) = bad {
            return Err(MountError::BadName { name: name.into() });
        }
        let mut names = FxHashSet::with_capacity_and_hasher(mount.each.len(), Default::default());
        for name in mount.names() {
            match self.moving.get(name) {
                Some(Moving::Out(left)) => return Ok(Names::Leaving(left.clone())),
                None if self.shared.directory.get(name).is_none() && names.insert(name) => {}
                _ => return Err(MountError::NameTaken { name: name.into() }),
            }
        }
        Ok(Names::Free)
    }

    /// All that were to be mounted at once stand, or have ended.
    fn decide(
        &mut self,
        all: Vec<Arc<Mounted>>,
        outcome: Result<(), Fallen>,
        parent: Option<&Mounted>,
        ctx: &mut Context<Self>,
    ) -> Result<(), MountError> {
        let still_wanted = all.iter().all(|one| self.is_moving_in(one));
        for mounted in &all {
            mounted.forget_launch();
        }
        let decided = match outcome {
            Ok(()) if still_wanted => {
                self.insert(all);
                Ok(())
            }
            // Their parent has ended meanwhile, and they with it: who ended it tells and vacates them.
            Ok(()) => return Err(self.ended_meanwhile(parent)),
            Err(fallen) => {
                for mounted in all.iter().rev() {
                    self.forget_children(mounted);
                    self.vacate(mounted);
                }
                Err(match fallen {
                    Fallen::Failed(message) => MountError::StartFailed { message },
                    Fallen::Lost => self.ended_meanwhile(parent),
                })
            }
        };
        self.look_again(ctx);
        decided
    }

    /// Why nothing became of a mount that was ended by what became of its parent, or of the system.
    fn ended_meanwhile(&self, parent: Option<&Mounted>) -> MountError {
        match parent {
            Some(parent) if self.shared.phase() == Phase::Open && !parent.is_leaving() => {
                parent.restarting()
            }
            _ => MountError::Stopped,
        }
    }

    fn number(&mut self) -> u64 {
        self.next_mount += 1;
        self.next_mount
    }

    fn choose(&self, wanted: Option<usize>) -> usize {
        let fewest = || (self.population.iter().enumerate()).min_by_key(|(_, count)| **count);
        wanted.unwrap_or_else(|| fewest().map_or(0, |(thread, _)| thread))
    }

    fn place(
        &mut self,
        one: One,
        thread: usize,
        parent: Option<&Arc<Mounted>>,
        launch: watch::Receiver<()>,
    ) -> (Launch, Arc<Mounted>) {
        let placing = Placing {
            number: self.number(),
            launch,
            thread,
            weight: one.weight,
            wait_goal: one.wait_goal,
            policy: one.policy,
            together: one.together,
            siblings: parent.map_or(self.together, |parent| parent.together),
            parent: parent.cloned(),
        };
        let mounted = self.settle(one.name, one.map, placing);
        self.shared.directory.introduce(mounted.clone());
        self.population[thread] += 1;
        (one.launch, mounted)
    }

    fn place_front(
        &mut self,
        front: &Front,
        parent: Option<&Arc<Mounted>>,
        launch: watch::Receiver<()>,
    ) -> Arc<Mounted> {
        let together = parent.map_or(self.together, |parent| parent.together);
        let placing = Placing {
            number: self.number(),
            launch,
            thread: 0,
            weight: 0,
            wait_goal: None,
            policy: Policy::default(),
            together,
            siblings: together,
            parent: parent.cloned(),
        };
        self.settle(front.name.clone(), front.map.clone(), placing)
    }

    /// Gives it the name's seat and its place in the family; its name is taken from now on.
    fn settle(&mut self, name: Arc<str>, map: Arc<RouteMap>, placing: Placing) -> Arc<Mounted> {
        let parent = placing.parent.clone();
        let mounted = Arc::new(Mounted::new(self.seat(name.clone()), map, placing));
        if let Some(parent) = parent {
            parent.adopt(mounted.clone());
        }
        self.moving.insert(name, Moving::In(mounted.number));
        mounted
    }

    /// Places all and has their threads start them.
    fn launch(&mut self, mount: Mount, standing: &Standing) -> Vec<Arc<Mounted>> {
        // Dropped with its last copy, when all hosts take orders.
        let (launching, launch) = watch::channel(());
        let launching = Arc::new(launching);
        let mut all = Vec::with_capacity(mount.each.len() + 1);
        self.moving.reserve(mount.each.len());
        let above = mount.parent.as_ref().map(|below| &below.parent);
        let front = (mount.front.as_ref()).map(|it| self.place_front(it, above, launch.clone()));
        let parent = front.as_ref().or(above);
        let share = mount.each.len().div_ceil(self.threads.len());
        let mut by_thread: Vec<Vec<_>> = (self.threads.iter())
            .map(|_| Vec::with_capacity(share))
            .collect();
        for one in mount.each {
            let thread = self.choose(one.thread);
            let (launch, mounted) = self.place(one, thread, parent, launch.clone());
            by_thread[thread].push((launch, mounted.clone(), standing.another()));
            all.push(mounted);
        }
        if let (Some(mounted), Some(front)) = (front, mount.front) {
            mounted.stand_for(Group::new(all.as_slice().into(), front.choice));
            all.insert(0, mounted);
        }
        for (thread, launches) in self.threads.iter().zip(by_thread) {
            if launches.is_empty() {
                continue;
            }
            let shared = self.shared.clone();
            let launching = launching.clone();
            thread.run(move || {
                for (launch, mounted, standing) in launches {
                    launch(shared.clone(), mounted, standing);
                }
                drop(launching);
            });
        }
        all
    }

    /// What was mounted can be found from now on.
    fn insert(&mut self, all: Vec<Arc<Mounted>>) {
        for mounted in all {
            let name = mounted.seat.name.clone();
            self.moving.remove(&name);
            self.shared.directory.insert(mounted);
            self.shared.events.tell(&name, Change::Started);
        }
        self.moving.shrink_to(MOVING);
    }
}

impl Handler<Mount> for Registry {
    type Result = ResponseActFuture<Self, Result<(), MountError>>;

    fn handle(&mut self, mount: Mount, _: &mut Self::Context) -> Self::Result {
        match self.check(&mount) {
            Ok(Names::Free) => {}
            Ok(Names::Leaving(mut left)) => {
                // The old one ends first; then this mount is looked at again.
                let wait = async move {
                    let _ = left.changed().await;
                };
                return Box::pin(wait.into_actor(self).then(|(), registry, ctx| {
                    <Self as Handler<Mount>>::handle(registry, mount, ctx)
                }));
            }
            Err(error) => return Box::pin(std::future::ready(Err(error)).into_actor(self)),
        }
        self.mounts.send_modify(|count| *count += 1);
        let parent = mount.parent.as_ref().map(|below| below.parent.clone());
        let (standing, told) = standing();
        let all = self.launch(mount, &standing);
        standing.tell();
        let patience = self.shared.stop_deadline;
        let fate = async move {
            let outcome = told.await.unwrap_or(Err(Fallen::Lost));
            if outcome.is_err() {
                // None of them is to stay, nor what their first hooks may have mounted.
                let deadline = Instant::now().checked_add(patience);
                for mounted in all.iter().rev() {
                    mounted.leave();
                    ending::end_tree(mounted.clone(), deadline).await;
                }
            }
            (all, outcome)
        };
        let decided = move |(all, outcome), registry: &mut Self, ctx: &mut Self::Context| {
            registry.mounts.send_modify(|count| *count -= 1);
            registry.decide(all, outcome, parent.as_deref(), ctx)
        };
        Box::pin(fate.into_actor(self).map(decided))
    }
}
