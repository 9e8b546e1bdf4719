//! What is mounted when it is first sent to, and put away when it is not used any more.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tokio::sync::watch;
use tokio::time::Instant;

use super::mounting::One;
use super::unused::{OnDemandKind, Unused};
use super::{Leaving, Moving, Registry, ending};
use crate::base::clock;
use crate::directory::demand::{Requests, StartOutcome};
use crate::directory::life::LifeState;
use crate::directory::{Directory, Mounted};
use crate::host::Placed;
use crate::host::startup::Startup;
use crate::route::RouteMap;
use crate::runtime::deadlock::Tree;
use crate::runtime::shared::{Phase, Shared};
use crate::words::error::{MountError, SendError};

/// Starts hosts on the thread where it is called, each with a word on how that went.
pub(crate) type LaunchOnDemand = Arc<dyn Fn(&Arc<Shared>, Vec<(Placed, Startup)>) + Send + Sync>;

/// When it is tried again to put away one of too many, if none was found that is not in use.
const PUT_OFF: Duration = Duration::from_millis(20);

/// The shortest and the longest time between two looks for those that are idle.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));

/// In a part of the idle time: what is idle is put away when at most so much more time has passed.
const PARTS: u32 = 8;

/// Looks at what senders want, and at how starts went.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) struct LookAtDemand;

/// Mounts on demand what has a name of one part more than the prefix.
#[derive(actix::Message)]
#[rtype(result = "Result<(), MountError>")]
pub(crate) struct Offer {
    pub(crate) prefix: Arc<str>,
    /// With the name of no one.
    pub(crate) one: One,
    pub(crate) map: Arc<RouteMap>,
    pub(crate) launch: LaunchOnDemand,
    pub(crate) idle: Option<Duration>,
    pub(crate) at_most: usize,
}

impl Handler<Offer> for Registry {
    type Result = Result<(), MountError>;

    fn handle(&mut self, offer: Offer, ctx: &mut Context<Self>) -> Self::Result {
        if self.shared.phase() != Phase::Open {
            return Err(MountError::Stopped);
        }
        let prefix = offer.prefix.clone();
        if self.on_demand.0.contains_key(&prefix) {
            let name = format!("{prefix}/{{}}").into();
            return Err(MountError::NameTaken { name });
        }
        if let Some(thread) = offer.one.thread.filter(|at| *at >= self.threads.len()) {
            return Err(MountError::NoThread {
                subsystem: (*prefix).into(),
                thread,
                threads: self.threads.len(),
            });
        }
        if let Some(idle) = offer.idle {
            self.look_for_idle(prefix.clone(), idle, ctx);
        }
        let map = offer.map.clone();
        self.on_demand
            .0
            .insert(prefix.clone(), OnDemandKind::new(offer));
        self.shared.directory.demand.offer(prefix, map);
        Ok(())
    }
}

impl Handler<LookAtDemand> for Registry {
    type Result = ();

    fn handle(&mut self, _: LookAtDemand, ctx: &mut Context<Self>) {
        let Requests {
            wanted,
            outcomes,
            ended,
            ..
        } = self.shared.directory.demand.take();
        for (mounted, leave) in ended {
            self.forget_children(&mounted);
            self.vacate(&mounted);
            drop(leave);
        }
        self.conclude(outcomes, ctx);
        self.mount_wanted(wanted);
        self.put_away_excess(ctx);
    }
}

impl Registry {
    /// Mounts what senders want, each for itself.
    fn mount_wanted(&mut self, wanted: Vec<Arc<str>>) {
        let shared = self.shared.clone();
        let mut launches: Vec<(usize, LaunchOnDemand, Vec<_>)> = Vec::new();
        for name in wanted {
            if !self.may_mount(&shared.directory, &name) {
                continue;
            }
            let Some(kind) = self.on_demand.of(&name) else {
                let why = SendError::NoSubsystem {
                    name: (*name).into(),
                };
                shared.directory.demand.fail(&name, why);
                continue;
            };
            kind.count = kind.count.saturating_add(1);
            let offer = &kind.offer;
            let (map, launch) = (offer.map.clone(), offer.launch.clone());
            let one = One {
                name: name.clone(),
                ..offer.one.clone()
            };
            let (limits, thread) = (one.limits, self.choose(one.thread));
            let mounted = self.place(one, &map, thread, None);
            // Handles may have kept another one.
            shared.directory.demand.move_to(&name, &mounted.mailbox);
            self.moving.insert(name, Moving::In(mounted.number));
            self.mounts
                .send_modify(|count| *count = count.saturating_add(1));
            let startup = Startup::alone(&shared.directory, &mounted);
            let placed = (Placed::new(mounted, limits), startup);
            let is_its = |(at, known, _): &&mut (usize, LaunchOnDemand, Vec<_>)| {
                *at == thread && Arc::ptr_eq(known, &launch)
            };
            match launches.iter_mut().find(is_its) {
                Some((_, _, all)) => all.push(placed),
                None => launches.push((thread, launch, vec![placed])),
            }
        }
        for (thread, launch, all) in launches {
            let shared = shared.clone();
            self.threads[thread].run(move || launch(&shared, all));
        }
    }

    /// True if a name that is wanted can be mounted now; else its senders have been told, or will be.
    fn may_mount(&self, directory: &Directory, name: &Arc<str>) -> bool {
        let demand = &directory.demand;
        if demand.mailbox_of(name).is_none() {
            return false;
        }
        if self.shared.phase() != Phase::Open {
            demand.fail(name, SendError::Stopped);
            return false;
        }
        match directory.get(name) {
            // It has ended by itself, which the registry is about to hear: then its name is vacated.
            Some(known) if known.mailbox.inbox.is_closed() => return false,
            Some(_) => {
                demand.found(name);
                return false;
            }
            None => {}
        }
        match self.moving.get(name) {
            None => true,
            // It is found when it stands; if it does not, its name is vacated.
            Some(Moving::In(_)) => false,
            // When it has ended its name is vacated. Until then who waits for the new one waits for the old
            // one too.
            Some(Moving::Out(leaving)) => {
                let old = leaving.tree.root.and_then(|id| directory.by_mailbox(id));
                if let Some(old) = old.filter(|old| old.mailbox.name == *name) {
                    demand.move_to(name, &old.mailbox);
                }
                false
            }
        }
    }

    /// Starts have ended, well or not.
    fn conclude(&mut self, outcomes: Vec<StartOutcome>, ctx: &mut Context<Self>) {
        if outcomes.is_empty() {
            return;
        }
        let now = self.shared.clock.now();
        let mut standing = Vec::with_capacity(outcomes.len());
        for StartOutcome {
            mailbox,
            number,
            how,
        } in outcomes
        {
            let mounted = self.shared.directory.by_mailbox(mailbox);
            let Some(mounted) = mounted.filter(|one| one.number == number) else {
                self.one_is_decided();
                continue;
            };
            match how {
                Ok(()) => {
                    self.one_is_decided();
                    if let Some(kind) = self.on_demand.of(&mounted.mailbox.name) {
                        kind.ring.push_back(Unused::new(mounted.clone(), now));
                    }
                    standing.push(mounted);
                }
                Err(text) => self.not_started(mounted, text, ctx),
            }
        }
        self.insert(standing);
        self.look_again(ctx);
    }

    fn one_is_decided(&self) {
        self.mounts
            .send_modify(|count| *count = count.saturating_sub(1));
    }

    /// One failed at its start, or was lost: it leaves, with what its first hook may have mounted.
    fn not_started(
        &mut self,
        mounted: Arc<Mounted>,
        text: Option<Box<str>>,
        ctx: &mut Context<Self>,
    ) {
        mounted.life.end_at(LifeState::Leaving);
        let deadline = clock::after(Instant::now(), self.shared.stop_deadline);
        let end = ending::end_tree(mounted.clone(), deadline).into_actor(self);
        ctx.spawn(end.map(move |(), registry, ctx| {
            registry.one_is_decided();
            registry.forget_children(&mounted);
            // No one was told that it had started.
            mounted.take_end();
            let subsystem = mounted.mailbox.name.clone();
            let why = match text {
                Some(message) => SendError::StartFailed { subsystem, message },
                None => SendError::Stopped,
            };
            let name = &mounted.mailbox.name;
            registry.shared.directory.demand.fail(name, why);
            registry.vacate(&mounted);
            registry.look_again(ctx);
        }));
    }

    /// Puts away those of whom there are too many.
    fn put_away_excess(&mut self, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        let mut unused = Vec::new();
        for (prefix, kind) in &mut self.on_demand.0 {
            for _ in 0..kind.excess() {
                if let Some(one) = kind.next_unused(now) {
                    kind.leaving.insert(one.number);
                    unused.push(one);
                }
            }
            if kind.excess() > 0 && !kind.is_put_off {
                kind.is_put_off = true;
                let prefix = prefix.clone();
                ctx.run_later(PUT_OFF, move |registry, ctx| {
                    if let Some(kind) = registry.on_demand.0.get_mut(&prefix) {
                        kind.is_put_off = false;
                    }
                    registry.put_away_excess(ctx);
                });
            }
        }
        self.put_away(unused);
    }

    /// Puts away those that have not been used for as long as is said, and looks again later.
    fn look_for_idle(&mut self, prefix: Arc<str>, idle: Duration, ctx: &mut Context<Self>) {
        let (shortest, longest) = LOOK_EVERY;
        let interval = match self.shared.clock.is_manual() {
            true => shortest,
            false => {
                let part = idle.checked_div(PARTS).unwrap_or(idle);
                part.clamp(shortest, longest)
            }
        };
        let clock = &self.shared.clock;
        let now = clock.now();
        let mut unused = Vec::new();
        if let Some(kind) = self.on_demand.0.get_mut(&prefix) {
            kind.ring.retain_mut(|one| {
                if one.has_gone() {
                    return false;
                }
                let age = Duration::from_nanos(clock.between_ns(one.since, now));
                if !one.still(now) || age < idle {
                    return true;
                }
                kind.leaving.insert(one.mounted.number);
                unused.push(one.mounted.clone());
                false
            });
        }
        self.put_away(unused);
        ctx.run_later(interval, move |registry, ctx| {
            registry.look_for_idle(prefix, idle, ctx);
        });
    }

    /// Unmounts them, as a user would. There may be many at once, and actix polls all futures of an actor whenever
    /// one of them wakes it: so each is a task of its own, which tells the registry when it is done.
    fn put_away(&mut self, unused: Vec<Arc<Mounted>>) {
        for mounted in unused {
            let (leave, left) = watch::channel(());
            let tree = Arc::new(Tree::of(&mounted));
            self.close_tree(&mounted, &Leaving { left, tree });
            let directory = self.shared.directory.clone();
            drop(actix_rt::spawn(async move {
                ending::end_tree(mounted.clone(), None).await;
                directory.demand.tell_ended((mounted, leave));
            }));
        }
    }
}
