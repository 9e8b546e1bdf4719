//! The registry: the actor that owns the truth about names, routes, and who is whose child.
//!
//! It mounts and unmounts, one name at a time, and is the only writer of the directory that senders
//! resolve in. Why senders resolve on the spot and do not send through the registry: a hop through an
//! actor costs 86 to 308 ns and four allocations per message, a look-up in the directory some 10 ns and
//! none; and since every envelope goes straight to its mailbox, paths and handles can be mixed without
//! reordering. What it does when subsystems end or fail stands in [`ending`] and [`restarts`].

pub(crate) mod ending;
mod restarts;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use actix::{Actor, ActorFutureExt, Addr, Context, Handler, ResponseActFuture, WrapFuture};
use actix_rt::ArbiterHandle;
use tokio::sync::{oneshot, watch};

use crate::directory::{Mounted, Placing};
use crate::error::MountError;
use crate::events::Change;
use crate::host::Standing;
use crate::mailbox::orders::Report;
use crate::mailbox::{Seat, SeatId};
use crate::route::RouteMap;
use crate::shared::{Phase, Shared};
use crate::supervision::{Policy, Together};
use ending::Ended;

/// The registry actor of a system.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    /// Who is restarted when a subsystem without a parent is.
    together: Together,
    threads: Vec<ArbiterHandle>,
    /// Subsystems per thread.
    population: Vec<usize>,
    /// Names in between: not yet, or no longer, in the directory.
    moving: HashMap<Box<str>, Moving>,
    /// Seats of unmounted subsystems that handles still point to.
    vacant: HashMap<Box<str>, Weak<Seat>>,
    /// Those that are being restarted together.
    restarting: HashSet<SeatId>,
    /// Failures of those, to be looked at afterwards.
    postponed: Vec<Report>,
    /// Tells how the end of all went, once it has begun.
    ended: Option<watch::Receiver<Option<Ended>>>,
    next_seat: SeatId,
    next_mount: u64,
}

enum Moving {
    In,
    /// Tells when it is over.
    Out(watch::Receiver<()>),
}

/// Starts a host on the thread where it is called.
pub(crate) type Launch =
    Box<dyn FnOnce(Arc<Shared>, Arc<Mounted>, oneshot::Sender<Standing>) + Send>;

/// Mounts a subsystem.
#[derive(actix::Message)]
#[rtype(result = "Result<(), MountError>")]
pub(crate) struct Mount {
    /// With its parent's name before it, if it has one.
    pub(crate) name: Box<str>,
    pub(crate) parent: Option<Arc<Mounted>>,
    pub(crate) thread: Option<usize>,
    pub(crate) weight: u32,
    pub(crate) slice: u32,
    pub(crate) policy: Policy,
    pub(crate) together: Together,
    pub(crate) map: Arc<RouteMap>,
    pub(crate) launch: Launch,
}

impl Registry {
    pub(crate) fn start_on_this_thread(
        shared: Arc<Shared>,
        together: Together,
        threads: Vec<ArbiterHandle>,
    ) -> Addr<Self> {
        let registry = Registry {
            together,
            population: vec![0; threads.len()],
            threads,
            moving: HashMap::new(),
            vacant: HashMap::new(),
            restarting: HashSet::new(),
            postponed: Vec::new(),
            ended: None,
            next_seat: 1,
            next_mount: 1,
            shared: shared.clone(),
        };
        let registry = registry.start();
        let _ = shared.reports.set(registry.downgrade().recipient());
        registry
    }

    fn choose(&self, wanted: Option<usize>) -> Result<usize, MountError> {
        match wanted {
            Some(thread) if thread < self.threads.len() => Ok(thread),
            Some(thread) => Err(MountError::NoThread {
                thread,
                threads: self.threads.len(),
            }),
            None => Ok(self
                .population
                .iter()
                .enumerate()
                .min_by_key(|(_, population)| **population)
                .map_or(0, |(thread, _)| thread)),
        }
    }

    /// The seat for a name: the one that handles still point to, or a new one.
    fn seat(&mut self, name: &str) -> Arc<Seat> {
        if let Some(seat) = self.vacant.remove(name).and_then(|seat| seat.upgrade()) {
            return seat;
        }
        let id = self.next_seat;
        self.next_seat = self.next_seat.checked_add(1).unwrap_or(1);
        Arc::new(Seat::new(id, name.into()))
    }

    /// A subsystem is gone: its name can be used again. Whoever waited for its end may say so; the first
    /// counts.
    fn vacate(&mut self, mounted: &Mounted) {
        if !self.shared.directory.retire(mounted) {
            return;
        }
        let name = &mounted.seat.name;
        self.moving.remove(&**name);
        self.population[mounted.thread] -= 1;
        if let Some(parent) = mounted.parent.as_ref().and_then(Weak::upgrade) {
            parent.disown(mounted);
        }
        if self.vacant.len() > 64 {
            self.vacant.retain(|_, seat| seat.strong_count() > 0);
        }
        self.vacant
            .insert((&**name).into(), Arc::downgrade(&mounted.seat));
    }

    /// True if it does not stand yet, or who mounts it has not been told.
    fn is_moving_in(&self, mounted: &Mounted) -> bool {
        matches!(self.moving.get(&*mounted.seat.name), Some(Moving::In))
    }

    fn place(&mut self, mount: &Mount, thread: usize, launch: watch::Receiver<()>) -> Arc<Mounted> {
        let seat = self.seat(&mount.name);
        let number = self.next_mount;
        self.next_mount += 1;
        let placing = Placing {
            number,
            launch,
            thread,
            weight: mount.weight,
            slice: mount.slice,
            policy: mount.policy,
            together: mount.together,
            siblings: match &mount.parent {
                Some(parent) => parent.together,
                None => self.together,
            },
            parent: mount.parent.clone(),
        };
        let mounted = Arc::new(Mounted::new(seat, mount.map.clone(), placing));
        if let Some(parent) = &mount.parent {
            parent.adopt(mounted.clone());
        }
        self.shared.directory.introduce(mounted.clone());
        self.population[thread] += 1;
        mounted
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}

impl Handler<Mount> for Registry {
    type Result = ResponseActFuture<Self, Result<(), MountError>>;

    fn handle(&mut self, mount: Mount, _: &mut Self::Context) -> Self::Result {
        let refuse = |error| Box::pin(std::future::ready(Err(error)).into_actor(self)) as _;
        if self.shared.phase() != Phase::Open {
            return refuse(MountError::Stopped);
        }
        let own_name = match &mount.parent {
            Some(parent) if parent.takes_no_children() => return refuse(MountError::Stopped),
            Some(parent) => &mount.name[parent.seat.name.len() + 1..],
            None => &mount.name,
        };
        let is_good = mycelia_core::check_name(&mount.name).is_ok() && !own_name.contains('/');
        if !is_good {
            return refuse(MountError::BadName { name: mount.name });
        }
        match self.moving.get(&mount.name) {
            None if self.shared.directory.get(&mount.name).is_none() => {}
            Some(Moving::Out(left)) => {
                // The old one ends first; then this mount is looked at again.
                let mut left = left.clone();
                let wait = async move {
                    let _ = left.changed().await;
                };
                return Box::pin(wait.into_actor(self).then(|(), registry, ctx| {
                    <Self as Handler<Mount>>::handle(registry, mount, ctx)
                }));
            }
            _ => return refuse(MountError::NameTaken { name: mount.name }),
        }
        let thread = match self.choose(mount.thread) {
            Ok(thread) => thread,
            Err(error) => return refuse(error),
        };
        let (launching, launch) = watch::channel(());
        let mounted = self.place(&mount, thread, launch);
        self.moving.insert(mount.name, Moving::In);
        let (standing, stands) = oneshot::channel();
        let (shared, host) = (self.shared.clone(), mounted.clone());
        let launch = mount.launch;
        self.threads[thread].spawn_fn(move || {
            launch(shared, host, standing);
            drop(launching);
        });
        let fate = async move {
            let stands = stands.await;
            if !matches!(stands, Ok(Ok(()))) {
                // Its first hook may have mounted children, and what it left behind may mount more.
                mounted.leave();
                ending::end_children(&mounted).await;
            }
            (mounted, stands)
        };
        Box::pin(
            fate.into_actor(self)
                .map(|(mounted, stands), registry, ctx| {
                    mounted.forget_launch();
                    let is_closed = !registry.is_moving_in(&mounted);
                    let refusal = match stands {
                        // Its parent has ended meanwhile, and it with it: it is told, and vacated, by whoever did that.
                        Ok(Ok(())) if is_closed => return Err(MountError::Stopped),
                        Ok(Ok(())) => {
                            registry.moving.remove(&*mounted.seat.name);
                            let name = mounted.seat.name.clone();
                            registry.shared.directory.insert(mounted);
                            registry.shared.events.tell(&name, Change::Started);
                            registry.look_again(ctx);
                            return Ok(());
                        }
                        Ok(Err(message)) => MountError::StartFailed { message },
                        Err(_) => MountError::Stopped,
                    };
                    registry.forget_children(&mounted);
                    registry.vacate(&mounted);
                    registry.look_again(ctx);
                    Err(refusal)
                }),
        )
    }
}
