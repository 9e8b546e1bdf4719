//! The registry: the actor that owns the truth about names and routes.
//!
//! It mounts and unmounts, one name at a time, and is the only writer of the directory that senders
//! resolve in. Why senders resolve on the spot and do not send through the registry: a hop through an
//! actor costs 86 to 308 ns and four allocations per message, a look-up in the directory some 10 ns and
//! none; and since every envelope goes straight to its mailbox, paths and handles can be mixed without
//! reordering.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, Context, Handler, ResponseActFuture, WeakRecipient, WrapFuture,
};
use actix_rt::ArbiterHandle;
use tokio::sync::{oneshot, watch};

use crate::directory::Mounted;
use crate::error::{MountError, UnmountError};
use crate::ledger::Ledger;
use crate::mailbox::orders::{Control, Order};
use crate::mailbox::{Seat, SeatId};
use crate::route::RouteMap;
use crate::shared::{Phase, Shared};

/// The registry actor of a system.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    threads: Vec<ArbiterHandle>,
    /// Subsystems per thread.
    population: Vec<usize>,
    /// Names in between: not yet, or no longer, in the directory.
    moving: HashMap<Box<str>, Moving>,
    /// Seats of unmounted subsystems that handles still point to.
    vacant: HashMap<Box<str>, Weak<Seat>>,
    next_seat: SeatId,
}

enum Moving {
    In,
    /// Tells when it is over.
    Out(watch::Receiver<()>),
}

/// What a host says when it stands: where to send orders.
pub(crate) type Standing = Result<WeakRecipient<Control>, Box<str>>;

/// Starts a host on the thread where it is called.
pub(crate) type Launch =
    Box<dyn FnOnce(Arc<Shared>, Arc<Mounted>, oneshot::Sender<Standing>) + Send>;

/// Mounts a subsystem.
#[derive(actix::Message)]
#[rtype(result = "Result<(), MountError>")]
pub(crate) struct Mount {
    pub(crate) name: Box<str>,
    pub(crate) thread: Option<usize>,
    pub(crate) weight: u32,
    pub(crate) slice: u32,
    pub(crate) map: Arc<RouteMap>,
    pub(crate) launch: Launch,
}

/// Unmounts a subsystem after it has ended the messages that it has accepted.
#[derive(actix::Message)]
#[rtype(result = "Result<Ledger, UnmountError>")]
pub(crate) struct Unmount(pub(crate) Box<str>);

/// Ends every subsystem: all accepted messages until the deadline, then none.
#[derive(actix::Message)]
#[rtype(result = "Vec<Box<str>>")]
pub(crate) struct EndAll {
    pub(crate) deadline: Instant,
}

impl Registry {
    pub(crate) fn new(shared: Arc<Shared>, threads: Vec<ArbiterHandle>) -> Self {
        Registry {
            shared,
            population: vec![0; threads.len()],
            threads,
            moving: HashMap::new(),
            vacant: HashMap::new(),
            next_seat: 1,
        }
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

    fn vacate(&mut self, mounted: &Mounted) {
        let name = &mounted.seat.name;
        self.moving.remove(&**name);
        self.population[mounted.thread] -= 1;
        self.shared.directory.retire(mounted);
        if self.vacant.len() > 64 {
            self.vacant.retain(|_, seat| seat.strong_count() > 0);
        }
        self.vacant
            .insert((&**name).into(), Arc::downgrade(&mounted.seat));
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
        if mycelia_core::check_name(&mount.name).is_err() || mount.name.contains('/') {
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
        let seat = self.seat(&mount.name);
        self.shared.directory.introduce(&seat);
        let mounted = Arc::new(Mounted::new(
            seat,
            mount.map,
            thread,
            mount.weight,
            mount.slice,
        ));
        self.moving.insert(mount.name, Moving::In);
        self.population[thread] += 1;
        let (standing, stands) = oneshot::channel();
        let (shared, host) = (self.shared.clone(), mounted.clone());
        let launch = mount.launch;
        self.threads[thread].spawn_fn(move || launch(shared, host, standing));
        Box::pin(stands.into_actor(self).map(move |stands, registry, _| {
            let refusal = match stands {
                Ok(Ok(orders)) => {
                    registry.moving.remove(&*mounted.seat.name);
                    let _ = mounted.orders.set(orders);
                    registry.shared.directory.insert(mounted.clone());
                    return Ok(());
                }
                Ok(Err(message)) => MountError::Panicked { message },
                Err(_) => MountError::Stopped,
            };
            registry.vacate(&mounted);
            Err(refusal)
        }))
    }
}

/// Gives an order; the receiver hears when the host has ended, or that it had before.
fn order(mounted: &Mounted, order: Order) -> oneshot::Receiver<()> {
    let (end, ended) = oneshot::channel();
    if let Some(host) = mounted.orders.get().and_then(WeakRecipient::upgrade) {
        host.do_send(Control {
            order,
            ended: Some(end),
        });
    }
    ended
}

impl Handler<Unmount> for Registry {
    type Result = ResponseActFuture<Self, Result<Ledger, UnmountError>>;

    fn handle(&mut self, Unmount(name): Unmount, _: &mut Self::Context) -> Self::Result {
        let Some(mounted) = self.shared.directory.remove(&name) else {
            let refusal = Err(UnmountError::NoSubsystem { name });
            return Box::pin(std::future::ready(refusal).into_actor(self));
        };
        let (leave, left) = watch::channel(());
        self.moving.insert(name, Moving::Out(left));
        let ended = order(&mounted, Order::Drain);
        Box::pin(ended.into_actor(self).map(move |_, registry, _| {
            let ledger = mounted.ledger();
            registry.vacate(&mounted);
            drop(leave);
            Ok(ledger)
        }))
    }
}

impl Handler<EndAll> for Registry {
    type Result = ResponseActFuture<Self, Vec<Box<str>>>;

    fn handle(&mut self, EndAll { deadline }: EndAll, _: &mut Self::Context) -> Self::Result {
        let shared = self.shared.clone();
        let end = async move {
            until_quiet(&shared, deadline).await;
            shared.advance(Phase::Stopped);
            let all = shared.directory.all_alive();
            let drains: Vec<_> = all.iter().map(|m| order(m, Order::Drain)).collect();
            let mut late = Vec::new();
            for (mounted, ended) in all.iter().zip(drains) {
                if !before(deadline, ended).await {
                    late.push((mounted, order(mounted, Order::Abort)));
                }
            }
            // Those that do not come to their end now hold their thread.
            let grace = Instant::now() + Duration::from_secs(1);
            let mut stuck = Vec::new();
            for (mounted, ended) in late {
                if !before(grace, ended).await {
                    stuck.push((&*mounted.seat.name).into());
                }
            }
            (all, stuck)
        };
        Box::pin(end.into_actor(self).map(|(all, stuck), registry, _| {
            for mounted in all {
                // What is leaving is vacated by its own unmount.
                if registry
                    .shared
                    .directory
                    .remove(&mounted.seat.name)
                    .is_some()
                {
                    registry.vacate(&mounted);
                }
            }
            stuck
        }))
    }
}

/// True if the host ended before the deadline.
async fn before(deadline: Instant, ended: oneshot::Receiver<()>) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::time::timeout(left, ended).await.is_ok()
}

/// Waits until nothing waits in any mailbox and nobody has sent meanwhile.
async fn until_quiet(shared: &Shared, deadline: Instant) {
    let mut before = None;
    let mut pause = Duration::from_micros(100);
    while Instant::now() < deadline {
        let all = shared.directory.all_alive();
        let waiting: u64 = all.iter().map(|mounted| mounted.seat.waiting()).sum();
        let sent: u64 = all.iter().map(|mounted| mounted.seat.accepted()).sum();
        // A message may have moved on while we looked; not if as many were sent before and after.
        if waiting == 0 && before == Some(sent) {
            return;
        }
        before = Some(sent);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}
