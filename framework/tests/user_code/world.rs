//! One combination's own world: a system, the site where user code misbehaves once, and how.

use std::panic::panic_any;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use mycelia::{System, WeakSystem};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::common::ON_PURPOSE;
use crate::subjects::{Note, Ping, Wait, Witness};
use crate::table::{Act, Site};

pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) act: Act,
    armed: AtomicBool,
    has_burnt: AtomicBool,
    /// How often it has misbehaved: never more than once.
    fired: AtomicU32,
    system: OnceLock<WeakSystem>,
    live: Arc<AtomicIsize>,
    /// What some handlers wait for.
    pub(crate) gate: Semaphore,
    /// How many handlers have come to the gate.
    pub(crate) at_the_gate: AtomicU32,
    pub(crate) ticks: AtomicU32,
    has_forgotten: AtomicBool,
    forgotten: AtomicU64,
    spawned: Mutex<Vec<JoinHandle<()>>>,
    runtime: Handle,
}

/// A value of the user's. It counts as alive until it is dropped, and its drop is a site.
pub(crate) struct Token {
    world: Arc<World>,
    site: Site,
    /// Its drop panics, too, when something else has panicked.
    burns: bool,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.world.live.fetch_sub(1, Ordering::SeqCst);
        if self.burns && self.world.burns() {
            panic!("it burns {ON_PURPOSE}");
        }
        self.world.reach(self.site);
    }
}

/// Counts, when it is dropped, that the misbehaviour is over.
struct Done<'a>(&'a AtomicU32);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A panic's payload whose drop panics.
pub(crate) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a payload dropped {ON_PURPOSE}");
    }
}

/// Drops values of the framework's, and contains a second panic, while a first one unwinds.
struct Unwinds {
    system: Option<System>,
}

impl Drop for Unwinds {
    fn drop(&mut self) {
        let Some(system) = self.system.take() else {
            return;
        };
        let again = std::panic::catch_unwind(|| panic!("again {ON_PURPOSE}"));
        assert!(again.is_err());
        begin(system.ask("far://ping", Ping));
        begin(system.tell("far://note", Note));
        let _ = system.try_tell("far://note", Note);
        drop((system.watch_all(), system.dead_letters()));
        drop(system.route::<Ping>("far://ping"));
    }
}

/// Far longer than any step takes.
pub(crate) const BOUND: Duration = Duration::from_secs(3);

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < BOUND, "never came to hold: {what}");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// Polls a future once and drops it.
pub(crate) fn begin<F: Future>(future: F) -> bool {
    let mut future = std::pin::pin!(future);
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready()
}

/// Polls a future once and forgets it; true if it was still pending.
fn forget<F: Future + 'static>(world: &World, future: F) -> bool {
    let mut future = Box::pin(future) as Pin<Box<dyn Future<Output = F::Output>>>;
    let polled = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    let pending = polled.is_pending();
    match pending {
        true => {
            world.has_forgotten.store(true, Ordering::SeqCst);
            std::mem::forget(future);
        }
        false => drop(future),
    }
    pending
}

impl World {
    pub(crate) fn new(site: Site, act: Act) -> Arc<Self> {
        Arc::new(World {
            site,
            act,
            armed: AtomicBool::new(false),
            has_burnt: AtomicBool::new(false),
            fired: AtomicU32::new(0),
            system: OnceLock::new(),
            live: Arc::default(),
            gate: Semaphore::new(0),
            at_the_gate: AtomicU32::new(0),
            ticks: AtomicU32::new(0),
            has_forgotten: AtomicBool::new(false),
            forgotten: AtomicU64::new(0),
            spawned: Mutex::default(),
            runtime: Handle::current(),
        })
    }

    pub(crate) fn inhabit(&self, system: &System) {
        assert!(self.system.set(system.downgrade()).is_ok());
    }

    pub(crate) fn token(self: &Arc<Self>, site: Site) -> Token {
        self.live.fetch_add(1, Ordering::SeqCst);
        Token {
            world: self.clone(),
            site,
            burns: false,
        }
    }

    /// A value whose drop panics, too, at a site where two panic.
    pub(crate) fn burning_token(self: &Arc<Self>, of: Site) -> Token {
        let mut token = self.token(Site::Nowhere);
        token.burns = self.site == of;
        token
    }

    /// True once: when the first has panicked.
    fn burns(&self) -> bool {
        self.act.panics() && self.has_fired() && !self.has_burnt.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst) > 0
    }

    /// How many values of the user's are alive.
    pub(crate) fn live(&self) -> isize {
        self.live.load(Ordering::SeqCst)
    }

    /// A future was forgotten with what it owns.
    pub(crate) fn forgets(&self) -> bool {
        self.has_forgotten.load(Ordering::SeqCst)
    }

    /// How many asks were forgotten after they were accepted.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    pub(crate) fn spawned(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.spawned.lock().unwrap())
    }

    pub(crate) fn open_the_gate(&self) {
        self.gate.add_permits(1000);
    }

    pub(crate) async fn wait_at_the_gate(&self) {
        self.at_the_gate.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("it stays open").forget();
    }

    /// User code runs at `site`: it misbehaves there, if that is the site of this world, once.
    pub(crate) fn reach(self: &Arc<Self>, site: Site) {
        if site != self.site || !self.armed.swap(false, Ordering::SeqCst) {
            return;
        }
        // Also when it panics.
        let _done = Done(&self.fired);
        self.misbehave();
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let task = self.runtime.spawn(future);
        self.spawned.lock().unwrap().push(task);
    }

    fn misbehave(self: &Arc<Self>) {
        let system = self.system.get().and_then(WeakSystem::upgrade);
        match self.act {
            Act::Panics => panic!("{ON_PURPOSE}"),
            Act::PanicsWithABomb => panic_any(Bomb),
            Act::PanicsAndAgainWhileItUnwinds => {
                let _unwinds = Unwinds { system };
                panic!("{ON_PURPOSE}");
            }
            Act::Blocks => {
                let pair = (Mutex::new(()), Condvar::new());
                let guard = pair.0.lock().unwrap();
                drop(pair.1.wait_timeout(guard, Duration::from_millis(2)));
            }
            act => {
                // The last hold on the system may be gone: then there is nothing left to call.
                if let Some(system) = system {
                    self.call(act, system);
                }
            }
        }
    }

    fn call(self: &Arc<Self>, act: Act, system: System) {
        match act {
            Act::Tells => {
                begin(system.tell("near://note", Note));
                begin(system.tell("far://note", Note));
                begin(system.tell_within("far://note", Note, Duration::from_millis(1)));
            }
            Act::TriesToTell => {
                for path in ["near://note", "far://note", "target://note"] {
                    let _ = system.try_tell(path, Note);
                }
            }
            Act::Asks => {
                for path in ["near://ping", "far://ping", "target://ping"] {
                    begin(system.ask(path, Ping));
                    begin(system.try_ask(path, Ping));
                }
                begin(system.ask_within("far://ping", Ping, Duration::from_millis(1)));
            }
            Act::WaitsForRoom => {
                begin(system.tell("narrow://wait", Wait));
                begin(system.ask("narrow://wait", Wait));
            }
            Act::BeginsAMount => {
                begin(system.mount_as("begun", || Witness));
            }
            Act::Mounts => self.spawn(async move {
                let _ = system.mount_as("mounted", || Witness).await;
            }),
            Act::BeginsAnUnmount => {
                begin(system.unmount("spare"));
            }
            Act::Unmounts => self.spawn(async move {
                let _ = system.unmount("spare").await;
            }),
            Act::UnmountsItsOwn => self.spawn(async move {
                let _ = system.unmount("target").await;
            }),
            Act::BeginsAStop => {
                begin(system.stop());
            }
            Act::Stops => self.spawn(async move {
                let _ = system.stop().await;
            }),
            Act::TakesASnapshot => drop(system.snapshot()),
            Act::ResolvesARoute => {
                let route = system.route::<Ping>("near://ping");
                if let Ok(route) = route {
                    begin(route.ask(Ping));
                }
                drop(system.route::<Note>("target://note"));
            }
            Act::Watches => {
                let mut seen = (system.watch_all(), system.dead_letters());
                let _ = (seen.0.try_next(), seen.1.try_next());
                begin(system.stopped());
            }
            Act::SetsAStrategy => system.set_strategy(mycelia::schedule::Weighted::default()),
            Act::ForgetsAnAsk => {
                if forget(self, async move { system.ask("narrow://wait", Wait).await }) {
                    // Only one that was accepted has an envelope.
                    self.forgotten.fetch_add(1, Ordering::SeqCst);
                }
            }
            Act::ForgetsATell => {
                forget(
                    self,
                    async move { system.tell("narrow://wait", Wait).await },
                );
            }
            Act::ForgetsAMount => {
                forget(self, async move {
                    system.mount_as("forgotten", || Witness).await
                });
            }
            Act::Panics
            | Act::PanicsWithABomb
            | Act::PanicsAndAgainWhileItUnwinds
            | Act::Blocks => unreachable!("needs no system"),
        }
    }
}
