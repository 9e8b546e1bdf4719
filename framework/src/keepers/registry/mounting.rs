//! How subsystems begin: one, or many at once, of which then all stand or none.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, Context, Handler, ResponseActFuture, WrapFuture};
use tokio::time::Instant;

use super::names::Names;
use super::resizing::Replenish;
use super::{Leaving, Registry, ending};
use crate::base::clock;
use crate::base::sync::lock;
use crate::base::thread_handle::ThreadHandle;
use crate::directory::life::LifeState;
use crate::directory::replicas::{Choice, Group};
use crate::directory::{Below, Mounted, Placing};
use crate::host::Placed;
use crate::host::startup::{Startup, StartupError, startup};
use crate::mailbox::{Limits, MailboxId};
use crate::route::RouteMap;
use crate::runtime::deadlock::caller::Caller;
use crate::runtime::deadlock::{For, Guard, Starting, Tree};
use crate::runtime::shared::{Phase, Shared};
use crate::words::error::MountError;
use crate::words::events::Change;
use crate::words::supervision::{Policy, RestartScope};

/// Starts hosts on the thread where it is called.
pub(crate) type Launch = Box<dyn FnOnce(&Arc<Shared>, Vec<Placed>, Startup) + Send>;

/// Most hosts that are started at once on a thread: it starts them, and gives them their first turns, while
/// the registry places the next.
pub(crate) const AT_ONCE: usize = 512;

/// Most names that the registry keeps room for while no subsystem begins or ends.
const MOVING: usize = 64;

/// Mounts subsystems.
#[derive(actix::Message)]
#[rtype(result = "Result<(), MountError>")]
pub(crate) struct Mount {
    /// The handler that waits for it.
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) parent: Option<Below>,
    /// The name that they share, if they do; theirs follow it.
    pub(crate) front: Option<Front>,
    pub(crate) each: Vec<One>,
    pub(crate) map: Arc<RouteMap>,
    /// As many as are needed: one for every [`AT_ONCE`] hosts, and one for every thread.
    pub(crate) launches: Vec<Launch>,
}

/// A name for several.
pub(crate) struct Front {
    /// With its parent's name before it, if it has one.
    pub(crate) name: Arc<str>,
    pub(crate) choice: Choice,
    pub(crate) more: Replenish,
}

/// A subsystem to be mounted.
#[derive(Clone)]
pub(crate) struct One {
    /// With its parent's name before it, if it has one.
    pub(crate) name: Arc<str>,
    pub(crate) thread: Option<usize>,
    pub(crate) weight: u32,
    pub(crate) wait_goal: Option<Duration>,
    pub(crate) own_histograms: bool,
    pub(crate) max_spawned: u32,
    pub(crate) policy: Policy,
    pub(crate) restart_scope: RestartScope,
    pub(crate) limits: Limits,
    /// Where its key begins in its name; 0 if it is not mounted on demand.
    pub(crate) key_at: u16,
}

impl Registry {
    /// All that were to be mounted at once stand, or have ended.
    fn decide(
        &mut self,
        all: Vec<Arc<Mounted>>,
        outcome: Result<(), StartupError>,
        parent: Option<&Mounted>,
        ctx: &mut Context<Self>,
    ) -> Result<(), MountError> {
        // Who has no parent is ended by no one before it can be found.
        let still_wanted = parent.is_none() || all.iter().all(|one| self.is_moving_in(one));
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
                    // No one was told that it had started.
                    mounted.take_end();
                    self.vacate(mounted);
                }
                Err(match fallen {
                    StartupError::Failed { name, text } => MountError::StartFailed {
                        subsystem: (*name).into(),
                        message: text,
                    },
                    StartupError::Lost => self.ended_meanwhile(parent),
                })
            }
        };
        self.look_again(ctx);
        decided
    }

    /// Why nothing became of a mount that was ended by what became of its parent, or of the system.
    fn ended_meanwhile(&self, parent: Option<&Mounted>) -> MountError {
        match parent {
            Some(parent)
                if self.shared.phase() == Phase::Open
                    && parent.life.state() < LifeState::Leaving =>
            {
                parent.restarting()
            }
            _ => MountError::Stopped,
        }
    }

    fn number(&mut self) -> u64 {
        self.next_mount = self.next_mount.saturating_add(1);
        self.next_mount
    }

    pub(super) fn choose(&self, wanted: Option<usize>) -> usize {
        let held = lock(&self.shared.held_threads);
        // One that a stuck handler holds only if all are held.
        let least = |(thread, count): &(usize, &usize)| (held.contains(thread), **count);
        let fewest = || (self.population.iter().enumerate()).min_by_key(least);
        wanted.unwrap_or_else(|| fewest().map_or(0, |(thread, _)| thread))
    }

    pub(super) fn place(
        &mut self,
        one: One,
        map: &Arc<RouteMap>,
        thread: usize,
        parent: Option<&Arc<Mounted>>,
    ) -> Arc<Mounted> {
        let placing = Placing {
            number: self.number(),
            thread,
            weight: one.weight,
            wait_goal: one.wait_goal,
            own_histograms: one.own_histograms,
            max_spawned: one.max_spawned,
            policy: one.policy,
            restart_scope: one.restart_scope,
            siblings: parent.map_or(self.restart_scope, |parent| parent.restart_scope),
            parent: parent.cloned(),
            key_at: one.key_at,
        };
        let mounted = self.settle(one.name, map.clone(), placing);
        self.shared.directory.introduce(mounted.clone());
        self.population[thread] = self.population[thread].saturating_add(1);
        mounted
    }

    fn place_front(
        &mut self,
        front: &Front,
        map: &Arc<RouteMap>,
        parent: Option<&Arc<Mounted>>,
    ) -> Arc<Mounted> {
        let restart_scope = parent.map_or(self.restart_scope, |parent| parent.restart_scope);
        let placing = Placing {
            number: self.number(),
            thread: 0,
            weight: 0,
            wait_goal: None,
            own_histograms: false,
            max_spawned: 0,
            policy: Policy::default(),
            restart_scope,
            siblings: restart_scope,
            parent: parent.cloned(),
            key_at: 0,
        };
        self.settle(front.name.clone(), map.clone(), placing)
    }

    /// Another name for several in the place of one.
    pub(super) fn face_of(&self, family: &Mounted) -> Arc<Mounted> {
        let placing = Placing {
            number: family.number,
            thread: 0,
            weight: 0,
            wait_goal: None,
            own_histograms: false,
            max_spawned: 0,
            policy: Policy::default(),
            restart_scope: family.restart_scope,
            siblings: family.restart_scope,
            parent: family.superior(),
            key_at: 0,
        };
        let (mailbox, map) = (family.mailbox.clone(), family.map.clone());
        Arc::new(Mounted::new(mailbox, map, placing))
    }

    /// Gives it the name's mailbox and its place in the family; its name was claimed before.
    fn settle(&mut self, name: Arc<str>, map: Arc<RouteMap>, placing: Placing) -> Arc<Mounted> {
        let parent = placing.parent.clone();
        let mounted = Arc::new(Mounted::new(self.mailbox(name), map, placing));
        if let Some(parent) = parent {
            parent.adopt(mounted.clone());
        }
        mounted
    }

    /// Places all and has their threads start them.
    fn launch(
        &mut self,
        mount: Mount,
        startup: &Startup,
        starting: Option<&Starting>,
    ) -> Vec<Arc<Mounted>> {
        let (map, mut launches) = (mount.map, mount.launches.into_iter());
        let mut all = Vec::with_capacity(mount.each.len().saturating_add(1));
        let above = mount.parent.as_ref().map(|below| &below.parent);
        let front = mount.front.as_ref();
        let front = front.map(|it| self.place_front(it, &map, above));
        let parent = front.as_ref().or(above);
        let mut start = |threads: &[ThreadHandle], shared: &Arc<Shared>, thread: usize, placed| {
            let (shared, startup) = (shared.clone(), startup.another());
            let launch = launches.next();
            threads[thread].run(move || {
                if let Some(launch) = launch {
                    launch(&shared, placed, startup);
                }
            });
        };
        // Replicas are few, and start when the one that stands for them knows them all.
        let at_once = if front.is_some() { usize::MAX } else { AT_ONCE };
        let mut waiting: Vec<Vec<_>> = self.threads.iter().map(|_| Vec::new()).collect();
        for one in mount.each {
            let thread = self.choose(one.thread);
            let (limits, mounted) = (one.limits, self.place(one, &map, thread, parent));
            if let Some(starting) = starting {
                starting.add(mounted.mailbox.id);
            }
            all.push(mounted.clone());
            waiting[thread].push(Placed::new(mounted, limits));
            if waiting[thread].len() == at_once {
                let placed = std::mem::take(&mut waiting[thread]);
                start(&self.threads, &self.shared, thread, placed);
            }
        }
        if let (Some(mounted), Some(front)) = (front, mount.front) {
            mounted.stand_for(Group::new(all.as_slice().into(), front.choice));
            self.replicas.insert(front.name, front.more);
            all.insert(0, mounted);
        }
        for (thread, placed) in waiting.into_iter().enumerate() {
            if !placed.is_empty() {
                start(&self.threads, &self.shared, thread, placed);
            }
        }
        all
    }

    /// What was mounted can be found from now on.
    pub(super) fn insert(&mut self, all: Vec<Arc<Mounted>>) {
        let events = &self.shared.events;
        let demand = &self.shared.directory.demand;
        // Those who are awaited since are found by who awaits them.
        let watched = events.are_watched() || demand.is_awaited();
        let watched: Option<Vec<_>> = watched.then(|| all.iter().map(name_of).collect());
        let subscribers = all.iter().filter(|one| one.map.has_topics());
        let subscribers: Vec<_> = subscribers.cloned().collect();
        let all = all.into_iter().map(|mounted| {
            // The name that was claimed goes on to the directory.
            let claimed = self.moving.remove_entry(&mounted.mailbox.name);
            (
                claimed.map_or_else(|| name_of(&mounted), |(name, _)| name),
                mounted,
            )
        });
        self.shared.directory.insert(all.collect());
        for catch_up in self.topics.mounted(&subscribers) {
            catch_up(&self.shared);
        }
        self.moving.shrink_to(MOVING);
        for name in watched.into_iter().flatten() {
            self.shared.directory.demand.found(&name);
            self.shared.events.tell(&name, Change::Started);
        }
    }
}

fn name_of(mounted: &Arc<Mounted>) -> Arc<str> {
    mounted.mailbox.name.clone()
}

/// Enters what the caller waits for, if it is a handler.
fn enter(caller: Option<&Caller>, what: Option<For>) -> Result<Option<Guard>, Vec<MailboxId>> {
    match (caller, what) {
        (Some(caller), Some(what)) => caller.enter(what),
        _ => Ok(None),
    }
}

impl Registry {
    /// Mounts when those have left who have the name now.
    fn mount_after(
        &mut self,
        mut leaving: Leaving,
        mount: Mount,
    ) -> ResponseActFuture<Self, Result<(), MountError>> {
        let edge = match enter(mount.caller.as_deref(), Some(For::End(leaving.tree))) {
            Ok(edge) => edge,
            Err(circle) => {
                let cycle = self.shared.directory.names_of(&circle);
                let subsystem = mount.subsystem();
                let refusal = Err(MountError::WaitCycle { subsystem, cycle });
                return Box::pin(std::future::ready(refusal).into_actor(self));
            }
        };
        let wait = async move {
            let _ = leaving.left.changed().await;
            drop(edge);
        };
        // Then it is looked at again.
        Box::pin(
            wait.into_actor(self)
                .then(|(), registry, ctx| <Self as Handler<Mount>>::handle(registry, mount, ctx)),
        )
    }
}

impl Handler<Mount> for Registry {
    type Result = ResponseActFuture<Self, Result<(), MountError>>;

    fn handle(&mut self, mount: Mount, _: &mut Self::Context) -> Self::Result {
        match self.check(&mount) {
            Ok(Names::Free) => {}
            Ok(Names::Leaving(leaving)) => return self.mount_after(leaving, mount),
            Err(error) => return Box::pin(std::future::ready(Err(error)).into_actor(self)),
        }
        self.mounts
            .send_modify(|count| *count = count.saturating_add(1));
        let parent = mount.parent.as_ref().map(|below| below.parent.clone());
        let caller = mount.caller.clone();
        let starting = caller.is_some().then(Arc::<Starting>::default);
        let what = starting.clone().map(For::Start);
        // None of them has a handler yet that could wait for the caller.
        let edge = enter(caller.as_deref(), what).unwrap_or_default();
        let (startup, told) = startup(starting.clone());
        let all = self.launch(mount, &startup, starting.as_deref());
        startup.tell();
        let patience = self.shared.stop_deadline;
        let ending = async move {
            let outcome = told.await.unwrap_or(Err(StartupError::Lost));
            drop(edge);
            if outcome.is_err() {
                // None of them is to stay, nor what their first hooks may have mounted.
                let tree = caller.is_some().then(|| Arc::new(Tree::of_all(&all)));
                let edge = enter(caller.as_deref(), tree.map(For::End));
                // One that waits for the caller can't end its messages.
                let patience = if edge.is_err() {
                    Duration::ZERO
                } else {
                    patience
                };
                let deadline = clock::after(Instant::now(), patience);
                for mounted in all.iter().rev() {
                    mounted.life.end_at(LifeState::Leaving);
                    ending::end_tree(mounted.clone(), deadline).await;
                }
            }
            (all, outcome)
        };
        let decided = move |(all, outcome), registry: &mut Self, ctx: &mut Self::Context| {
            registry
                .mounts
                .send_modify(|count| *count = count.saturating_sub(1));
            registry.decide(all, outcome, parent.as_deref(), ctx)
        };
        Box::pin(ending.into_actor(self).map(decided))
    }
}
