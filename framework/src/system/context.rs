//! The context: what a subsystem can do with itself, as an argument of its handlers and hooks.

use std::sync::Arc;
use std::time::Duration;

use crate::base::user_code::Contained;
use crate::directory::Mounted;
use crate::mailbox::orders::Control;
use crate::route::extract::{self, Address, Delivery, Extractor};
use crate::route::subsystem::Routes;
use crate::runtime::shared::Shared;
use crate::system::{MountOptions, Mounting, OnceWeak, WeakSystem};
use crate::topics::Topics;
use crate::words::error::{CaptureError, MountError, UnmountError};
use crate::words::key::Key;
use crate::words::ledger::Ledger;

/// The subsystem itself, as an argument of its handlers and hooks: its name, its children, its end.
///
/// It can be kept; it does not keep the system running.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// # #[derive(Message)] struct Hit;
/// # #[derive(Subsystem, Default)] struct Shard;
/// # #[routes] impl Shard { #[route("hit")] fn hit(&mut self, _: Hit) {} }
///
/// #[derive(Subsystem, Default)]
/// struct Index;
///
/// #[routes]
/// impl Index {
///     #[started]
///     async fn grow(&mut self, ctx: Context) -> anyhow::Result<()> {
///         for n in 0..4 {
///             ctx.mount_with(MountOptions::new().name(format!("{n}")), Shard::default).await?;
///         }
///         Ok(())
///     }
///
///     #[route("hit/{shard}")]
///     async fn hit(&mut self, hit: Hit, Path(shard): Path<u32>, system: System) -> anyhow::Result<()> {
///         system.tell(format!("index/{shard}://hit"), hit).await?;
///         Ok(())
///     }
/// }
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let system = System::builder().start().await?;
/// system.mount(Index::default).await?;
/// system.tell("index://hit/3", Hit).await?;
/// system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Context {
    system: WeakSystem,
    mounted: Arc<Mounted>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({})", self.name())
    }
}

impl Context {
    /// The subsystem's name, after those of its parents: `parent/child`.
    pub fn name(&self) -> &str {
        &self.mounted.mailbox.name
    }

    /// Its key, if it was [mounted on demand](crate::System::mount_on_demand).
    pub fn key(&self) -> Option<Key> {
        self.mounted.key()
    }

    /// The names of its children, in the order in which they were started.
    pub fn children(&self) -> Vec<Arc<str>> {
        let children = self.mounted.children();
        children
            .iter()
            .map(|one| one.mailbox.name.clone())
            .collect()
    }

    /// Mounts a child under its type's name, after the own one: `parent/child`.
    ///
    /// # Errors
    /// As [`System::mount`](crate::System::mount); or `Stopped`, if this subsystem has ended; or
    /// `Restarting`, while it is restarting.
    pub fn mount<S: Routes>(&self, factory: impl Fn() -> S + Send + 'static) -> Mounting<'_> {
        self.mount_with(MountOptions::new(), factory)
    }

    /// Mounts a child with options.
    ///
    /// # Errors
    /// As [`mount`](Self::mount).
    ///
    /// # Cancel safety
    /// Dropped before its end, the child may or may not be mounted.
    pub fn mount_with<S: Routes>(
        &self,
        options: MountOptions,
        factory: impl Fn() -> S + Send + 'static,
    ) -> Mounting<'_> {
        let factory = Contained::new(factory);
        let options = options.parent(self.name());
        Mounting::new(async move {
            let system = self.system.upgrade().ok_or(MountError::Stopped)?;
            let kind = system.kind(|| options.name_of::<S>())?;
            let parent = Some(self.mounted.clone());
            system.mount_below(parent, options, &kind, factory).await
        })
    }

    /// Unmounts a child, by its own name, as [`System::unmount`](crate::System::unmount) does.
    ///
    /// # Errors
    /// There is no child of that name; or `WaitCycle`, if it waits for this handler.
    ///
    /// # Cancel safety
    /// Dropped before its end, the unmount goes on.
    pub async fn unmount(&self, child: &str) -> Result<Ledger, UnmountError> {
        let system = self.system.upgrade().ok_or(UnmountError::Stopped)?;
        system.unmount(&format!("{}/{child}", self.name())).await
    }

    /// Unmounts a child, by its own name, until a deadline, as
    /// [`System::unmount_within`](crate::System::unmount_within) does.
    ///
    /// # Errors
    /// As [`unmount`](Self::unmount); or `Stuck`, if a handler of the child blocks its thread.
    ///
    /// # Cancel safety
    /// Dropped before its end, the unmount goes on, and ends at the deadline.
    pub async fn unmount_within(
        &self,
        child: &str,
        deadline: Duration,
    ) -> Result<Ledger, UnmountError> {
        let system = self.system.upgrade().ok_or(UnmountError::Stopped)?;
        let name = format!("{}/{child}", self.name());
        system.unmount_within(&name, deadline).await
    }

    /// Ends this subsystem: it takes no more messages, handles those that it has accepted, and is
    /// unmounted. One that is mounted to be [there always](crate::supervise::Restart::Permanent) is restarted
    /// instead.
    pub fn stop(&self) {
        self.order(Control::Stop);
    }

    pub(crate) fn order(&self, control: Control) {
        self.mounted.order(control);
    }

    pub(crate) fn mounted(&self) -> &Arc<Mounted> {
        &self.mounted
    }

    pub(crate) fn topics(&self) -> Option<Arc<Topics>> {
        Some(self.system.upgrade()?.topics().clone())
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.system.shared()
    }
}

impl Extractor for Context {
    type Packed = ();

    fn pack(_: &mut Address<'_>) -> Result<(), CaptureError> {
        Ok(())
    }

    fn unpack((): (), delivery: &Delivery<'_>) -> Self {
        let weak = delivery.state::<OnceWeak>();
        let context = weak.and_then(|weak| {
            Some(Context {
                system: weak.get()?.clone(),
                mounted: weak.directory()?.by_mailbox(delivery.receiver)?,
            })
        });
        context.unwrap_or_else(|| extract::abandoned())
    }
}
