//! The system: the value that owns threads, pool, registry and supervisor, and that sends messages.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub(crate) mod context;
pub(crate) mod interop;
pub(crate) mod tasks;
mod spawn;
mod exit;
mod kind;
mod mounting;
mod mount_options;
mod manage;
mod admissions;
mod mount;
mod sends;
mod publish;
mod mount_many;
pub(crate) mod on_demand;
mod resize;
#[cfg(feature = "signal")]
mod signal;
mod stop;
pub(crate) mod threads;
mod builder;
mod unmount;

use std::any::{Any, TypeId};
use std::sync::{Arc, Weak};

use actix::Addr;
use dashmap::DashMap;

pub use builder::Builder;
pub use exit::Exit;
pub use mount_options::MountOptions;
pub use mounting::Mounting;
pub use on_demand::OnDemand;
pub use stop::{StopError, StopReport};

use crate::base::sync::{AtomicU8, AtomicU32};
use crate::base::user_code::{Contained, shielded};
use crate::books::dead_letters::DeadLetterStream;
use crate::directory::Directory;
use crate::keepers::registry::Registry;
use crate::keepers::supervisor::snapshot::Snapshot;
use crate::keepers::supervisor::strategy::Strategy;
use crate::keepers::supervisor::{Supervisor, Use};
use crate::route::extract::{self, Delivery, Extractor};
use crate::runtime::shared::{Phase, Shared};
use crate::topics::Topics;
use crate::words::error::CaptureError;
use crate::words::events::Watch;
use crate::words::stop_reason::StopReason;
use threads::Keeper;

/// A running system. Cloning it copies a pointer; it ends with [`stop`](Self::stop), or when the last
/// clone is dropped.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[derive(Message)]
/// #[message(reply = String)]
/// struct Greet {
///     greeting: String,
/// }
///
/// #[derive(Subsystem, Default)]
/// #[subsystem(name = "api")]
/// struct Api {
///     visits: u64,
/// }
///
/// #[routes]
/// impl Api {
///     #[route("users/{id}")]
///     async fn greet(&mut self, msg: Greet, Path(id): Path<u64>) -> String {
///         self.visits += 1;
///         format!("{}, user {id}; visit {}", msg.greeting, self.visits)
///     }
/// }
///
/// #[mycelia::main]
/// async fn main() -> anyhow::Result<()> {
///     let system = System::builder().start().await?;
///     system.mount(Api::default).await?;
///     let greet = Greet { greeting: "hello".into() };
///     assert_eq!(system.ask("api://users/7", greet).await?, "hello, user 7; visit 1");
///     system.stop().await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct System(Arc<Core>);

struct Core {
    shared: Arc<Shared>,
    topics: Arc<Topics>,
    /// Contained, because actix panics if an address is dropped with a thread's local values. The actor ends with its
    /// thread all the same.
    registry: Contained<Addr<Registry>>,
    supervisor: Contained<Addr<Supervisor>>,
    keeper: Keeper,
    threads: usize,
    /// 1 from the first stop on.
    is_stopping: AtomicU8,
    stop: stop::Progress,
    /// Route tables and histograms, by the type of the subsystem.
    kinds: DashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    next_table: AtomicU32,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.shared.advance(Phase::Abandoned);
        self.keeper.quit();
    }
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System")
            .field("name", &self.0.shared.name)
            .field("threads", &self.0.threads)
            .field("subsystems", &self.0.shared.directory.len())
            .finish_non_exhaustive()
    }
}

impl System {
    /// The settings of a system to be started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The system's name.
    pub fn name(&self) -> &str {
        &self.shared().name
    }

    /// How many threads it has for subsystems.
    pub fn threads(&self) -> usize {
        self.0.threads
    }

    /// What the system is doing, read without stopping anyone.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(self.shared(), self.topics())
    }

    /// What happens to the subsystem of that name from now on, whether it is mounted yet or not.
    pub fn watch(&self, name: impl Into<Box<str>>) -> Watch {
        self.shared().events.watch(Some(name.into()))
    }

    /// What happens to all subsystems from now on.
    pub fn watch_all(&self) -> Watch {
        self.shared().events.watch(None)
    }

    /// Waits until the system has stopped, for whatever reason: because it was told to, or because a
    /// subsystem failed too often. Its threads are joined by [`stop`](Self::stop).
    ///
    /// # Cancel safety
    /// Dropped before its end, nothing has happened.
    pub async fn stopped(&self) -> StopReason {
        shielded(self.shared().until_stopped()).await
    }

    /// The dead letters from now on: every message that is accepted and not handled, unless its asker is
    /// told.
    pub fn dead_letters(&self) -> DeadLetterStream {
        self.shared().dead_letters.subscribe()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(crate) fn topics(&self) -> &Arc<Topics> {
        &self.0.topics
    }

    /// Changes how the supervisor slices the threads' time.
    pub fn set_strategy(&self, strategy: impl Strategy) {
        self.0
            .supervisor
            .do_send(Use(Contained::new(Box::new(strategy))));
    }

    /// A hold on the system that does not keep it running, for the state of subsystems.
    pub fn downgrade(&self) -> WeakSystem {
        WeakSystem(Arc::downgrade(&self.0))
    }
}

/// A hold on a system that does not keep it running.
#[derive(Clone)]
pub struct WeakSystem(Weak<Core>);

impl WeakSystem {
    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.0.upgrade().map(|core| core.shared.clone())
    }

    /// The system, if it is still there.
    pub fn upgrade(&self) -> Option<System> {
        self.0.upgrade().map(System)
    }
}

impl std::fmt::Debug for WeakSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WeakSystem")
    }
}

/// The system itself, as a handler's argument.
impl Extractor for System {
    type Packed = ();

    fn pack(_: &mut extract::Address<'_>) -> Result<(), CaptureError> {
        Ok(())
    }

    fn unpack((): (), delivery: &Delivery<'_>) -> Self {
        let weak = delivery.state::<OnceWeak>();
        let system = weak.and_then(|weak| weak.get()?.upgrade());
        system.unwrap_or_else(|| extract::abandoned())
    }
}

/// The system's hold on itself, for its handlers; and on its directory, which is there as long as they are.
#[derive(Default)]
pub(crate) struct OnceWeak(once_cell::sync::OnceCell<(WeakSystem, Arc<Directory>)>);

impl OnceWeak {
    pub(crate) fn get(&self) -> Option<&WeakSystem> {
        Some(&self.0.get()?.0)
    }

    pub(crate) fn directory(&self) -> Option<&Directory> {
        Some(&self.0.get()?.1)
    }

    fn set(&self, system: &System) {
        let directory = system.0.shared.directory.clone();
        let _ = self.0.set((system.downgrade(), directory));
    }
}
