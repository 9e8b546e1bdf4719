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

use actix::{Actor, ActorFutureExt, Context, Handler, Recipient, ResponseActFuture, WrapFuture};
use actix_rt::ArbiterHandle;
use tokio::sync::{oneshot, watch};

use crate::directory::Mounted;
use crate::error::{MountError, UnmountError};
use crate::host::Order;
use crate::latency::Book;
use crate::ledger::Ledger;
use crate::mailbox::{Seat, SeatId};
use crate::route::RouteMap;
use crate::shared::{Phase, Shared};

/// The registry actor of a system.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    threads: Vec<ArbiterHandle>,
    /// Subsystems per thread.
    population: Vec<usize>,
    records: HashMap<Box<str>, Record>,
    /// Seats of unmounted subsystems that handles still point to.
    vacant: HashMap<Box<str>, Weak<Seat>>,
    next_seat: SeatId,
}

enum Record {
    Mounting,
    Mounted(Post),
    /// Being unmounted; tells when it is over.
    Leaving(watch::Receiver<()>),
}

/// How to reach the host of a mounted subsystem.
struct Post {
    mounted: Arc<Mounted>,
    orders: Recipient<Order>,
    ended: oneshot::Receiver<()>,
}

/// What a host says when it stands: where to send orders, and who hears of its end.
pub(crate) type Standing = Result<Recipient<Order>, Box<str>>;

/// Starts a host on the thread where it is called.
pub(crate) type Launch = Box<
    dyn FnOnce(Arc<Shared>, Arc<Mounted>, oneshot::Sender<Standing>, oneshot::Sender<()>) + Send,
>;

/// Mounts a subsystem.
#[derive(actix::Message)]
#[rtype(result = "Result<Arc<Mounted>, MountError>")]
pub(crate) struct Mount {
    pub(crate) name: Box<str>,
    pub(crate) thread: Option<usize>,
    pub(crate) weight: u32,
    pub(crate) slice: u32,
    pub(crate) map: Arc<RouteMap>,
    pub(crate) kind_book: Arc<Book>,
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
            records: HashMap::new(),
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
        self.records.remove(&**name);
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
    type Result = ResponseActFuture<Self, Result<Arc<Mounted>, MountError>>;

    fn handle(&mut self, mount: Mount, _: &mut Self::Context) -> Self::Result {
        let refuse = |error| Box::pin(std::future::ready(Err(error)).into_actor(self)) as _;
        if self.shared.phase() != Phase::Open {
            return refuse(MountError::Stopped);
        }
        if mycelia_core::check_name(&mount.name).is_err() || mount.name.contains('/') {
            return refuse(MountError::BadName { name: mount.name });
        }
        match self.records.get(&mount.name) {
            None => {}
            Some(Record::Leaving(left)) => {
                // The old one ends first; then this mount is looked at again.
                let mut left = left.clone();
                let wait = async move {
                    let _ = left.changed().await;
                };
                return Box::pin(wait.into_actor(self).then(|(), registry, ctx| {
                    <Self as Handler<Mount>>::handle(registry, mount, ctx)
                }));
            }
            Some(_) => return refuse(MountError::NameTaken { name: mount.name }),
        }
        let thread = match self.choose(mount.thread) {
            Ok(thread) => thread,
            Err(error) => return refuse(error),
        };
        let seat = self.seat(&mount.name);
        let mounted = Arc::new(Mounted::new(
            seat,
            mount.map,
            mount.kind_book,
            thread,
            mount.weight,
            mount.slice,
        ));
        self.records.insert(mount.name, Record::Mounting);
        self.population[thread] += 1;
        // Known before it stands: its first handlers may send, and be named as senders.
        let (standing, stands) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (shared, host) = (self.shared.clone(), mounted.clone());
        let launch = mount.launch;
        self.threads[thread].spawn_fn(move || launch(shared, host, standing, end));
        Box::pin(stands.into_actor(self).map(move |stands, registry, _| {
            let refusal = match stands {
                Ok(Ok(orders)) => {
                    registry.shared.directory.insert(mounted.clone());
                    let post = Post {
                        mounted: mounted.clone(),
                        orders,
                        ended,
                    };
                    registry
                        .records
                        .insert((&*mounted.seat.name).into(), Record::Mounted(post));
                    return Ok(mounted);
                }
                Ok(Err(message)) => MountError::Panicked { message },
                Err(_) => MountError::Stopped,
            };
            registry.vacate(&mounted);
            Err(refusal)
        }))
    }
}

impl Handler<Unmount> for Registry {
    type Result = ResponseActFuture<Self, Result<Ledger, UnmountError>>;

    fn handle(&mut self, Unmount(name): Unmount, _: &mut Self::Context) -> Self::Result {
        let (leave, left) = watch::channel(());
        match self.records.remove(&name) {
            Some(Record::Mounted(post)) => {
                self.records.insert(name, Record::Leaving(left));
                self.shared.directory.remove(&post.mounted.seat.name);
                post.orders.do_send(Order::Drain);
                Box::pin(post.ended.into_actor(self).map(move |_, registry, _| {
                    let ledger = post.mounted.ledger();
                    registry.vacate(&post.mounted);
                    drop(leave);
                    Ok(ledger)
                }))
            }
            other => {
                if let Some(record) = other {
                    self.records.insert(name.clone(), record);
                }
                Box::pin(
                    std::future::ready(Err(UnmountError::NoSubsystem { name })).into_actor(self),
                )
            }
        }
    }
}

impl Handler<EndAll> for Registry {
    type Result = ResponseActFuture<Self, Vec<Box<str>>>;

    fn handle(&mut self, EndAll { deadline }: EndAll, _: &mut Self::Context) -> Self::Result {
        let posts: Vec<Post> = self
            .records
            .drain()
            .filter_map(|(_, record)| match record {
                Record::Mounted(post) => Some(post),
                _ => None,
            })
            .collect();
        let shared = self.shared.clone();
        let end = async move {
            until_quiet(&shared, deadline).await;
            shared.advance(Phase::Stopped);
            for post in &posts {
                post.orders.do_send(Order::Drain);
            }
            let mut late = Vec::new();
            let mut all = Vec::new();
            for mut post in posts {
                let left = deadline.saturating_duration_since(Instant::now());
                if tokio::time::timeout(left, &mut post.ended).await.is_err() {
                    post.orders.do_send(Order::Abort);
                    late.push(post);
                } else {
                    all.push(post.mounted);
                }
            }
            // Those that do not come to their end now hold their thread.
            let grace = Instant::now() + Duration::from_secs(1);
            let mut stuck = Vec::new();
            for mut post in late {
                let left = grace.saturating_duration_since(Instant::now());
                if tokio::time::timeout(left, &mut post.ended).await.is_err() {
                    stuck.push((&*post.mounted.seat.name).into());
                }
                all.push(post.mounted);
            }
            (all, stuck)
        };
        Box::pin(end.into_actor(self).map(|(all, stuck), registry, _| {
            for mounted in all {
                registry.shared.directory.remove(&mounted.seat.name);
                registry.vacate(&mounted);
            }
            stuck
        }))
    }
}

/// Waits until nothing waits in any mailbox and nobody has sent meanwhile.
async fn until_quiet(shared: &Shared, deadline: Instant) {
    let mut before = None;
    let mut pause = Duration::from_micros(100);
    while Instant::now() < deadline {
        let all = shared.directory.all();
        let waiting: u64 = all.iter().map(|mounted| mounted.seat.waiting()).sum();
        let sent: u64 = all.iter().map(|mounted| mounted.seat.inbox.ticket()).sum();
        // A message may have moved on while we looked; not if as many were sent before and after.
        if waiting == 0 && before == Some(sent) {
            return;
        }
        before = Some(sent);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}
