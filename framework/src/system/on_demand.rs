//! Mounting on demand: a pattern of names, and a factory that is given the key.

use std::sync::Arc;
use std::time::Duration;

use super::{MountOptions, Mounting, System};
use crate::base::user_code::{Contained, shielded};
use crate::keepers::registry::demanding::Offer;
use crate::route::subsystem::Routes;
use crate::words::error::MountError;
use crate::words::key::Key;

/// How subsystems are mounted on demand, and when they are put away; see [`System::mount_on_demand`].
///
/// # Examples
/// ```
/// use mycelia::{MountOptions, OnDemand};
/// use std::time::Duration;
///
/// let users = OnDemand::new()
///     .idle(Duration::from_secs(600))
///     .at_most(100_000)
///     .options(MountOptions::new().capacity(100));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "give it to `System::mount_on_demand`"]
pub struct OnDemand {
    idle: Option<Duration>,
    at_most: Option<usize>,
    options: MountOptions,
}

impl OnDemand {
    /// With nothing said, each stays until it is unmounted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts one away that has had no message for that long, or up to an eighth of that longer, but no less than
    /// 10 ms, and no more than a minute. One that has messages waiting, or futures [beside its
    /// mailbox](crate::Context::spawn), is in use.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Lets so many be there: for one more, one is put away that has been unused for long, as nearly the longest
    /// as can be told without looking at all. At least 1, or the call is refused. There are more while those too
    /// many have messages waiting, or are ending.
    pub fn at_most(mut self, subsystems: usize) -> Self {
        self.at_most = Some(subsystems);
        self
    }

    /// Mounts each with these options; but name and parent are the pattern's, and one that has failed for good
    /// is never [kept](MountOptions::keep_failed).
    pub fn options(mut self, options: MountOptions) -> Self {
        self.options = options;
        self
    }
}

/// The name before the capture of a pattern such as `users/{id}`.
fn prefix(pattern: &str) -> Option<&str> {
    let (prefix, capture) = pattern.rsplit_once('/')?;
    let capture = capture.strip_prefix('{')?.strip_suffix('}')?;
    let is_word = |one: char| one == '_' || one.is_ascii_alphanumeric();
    let is_good = !capture.is_empty() && capture.chars().all(is_word);
    (is_good && mycelia_core::check_name(prefix).is_ok()).then_some(prefix)
}

impl System {
    /// Mounts subsystems when they are first sent to: with the pattern `users/{id}`, the first message to
    /// `users/42://…` mounts `users/42`, on the thread with the fewest subsystems, if nothing is mounted under that
    /// name. The factory is given the key, `42`; handlers read it from
    /// [`Context::key`](crate::Context::key). The key is a part of a name: `A-Z a-z 0-9 _ . -`.
    ///
    /// [`tell`](Self::tell) and [`ask`](Self::ask) wait until it stands, as they wait for room, until their
    /// deadline; [`try_tell`](Self::try_tell) is refused as `Full` for want of its
    /// [`Start`](crate::error::Room::Start), has it mounted nevertheless, and can be tried again. If it fails to
    /// start, those who wait hear [`StartFailed`](crate::error::SendError::StartFailed), and the next message tries
    /// again. A path that no route of it matches mounts nothing.
    ///
    /// Those that are not used, or of whom there are too many, are put away as [`OnDemand`] says: as by an
    /// [`unmount`](Self::unmount), so that all they have accepted is handled, and then `#[stopped]` runs, to save
    /// what is to stay. A message sent meanwhile waits for the next one, which is made when the last one has ended: it
    /// is handled once, and after those that its sender sent before. They have no parent, also if a subsystem with the
    /// name of the pattern's first part is mounted.
    ///
    /// A handle can be resolved while the subsystem is mounted, and then has it mounted again.
    ///
    /// # Errors
    /// `BadSetting`, if the pattern is not a name and one capture, if the options have a name or a parent, or a
    /// value that can't be; `NameTaken`, if the same names are mounted on demand already; a mistake of the routes, as
    /// for [`mount`](Self::mount); `Stopped`.
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    /// use mycelia::{Key, OnDemand};
    ///
    /// #[derive(Message)]
    /// #[message(reply = String)]
    /// struct Greet;
    ///
    /// #[derive(Subsystem)]
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// #[routes]
    /// impl User {
    ///     #[route("greet")]
    ///     fn greet(&mut self, _: Greet) -> String {
    ///         format!("hello, {}", self.name)
    ///     }
    /// }
    ///
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// let system = System::builder().start().await?;
    /// let new = |key: Key| User { name: key.to_string() };
    /// system.mount_on_demand("users/{id}", OnDemand::new().at_most(1000), new).await?;
    /// assert_eq!(system.ask("users/ada://greet", Greet).await?, "hello, ada");
    /// system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub fn mount_on_demand<'a, S: Routes>(
        &'a self,
        pattern: &'a str,
        on_demand: OnDemand,
        factory: impl Fn(Key) -> S + Send + Sync + 'static,
    ) -> Mounting<'a> {
        let factory = Contained::new(factory);
        Mounting::new(async move {
            let kind = self.kind::<S>(|| pattern.into())?;
            let refused = |setting, must_be| MountError::BadSetting {
                subsystem: pattern.into(),
                setting,
                must_be,
            };
            let wanted = "a name and one capture, as in `users/{id}`";
            let prefix = prefix(pattern).ok_or_else(|| refused("pattern", wanted))?;
            let OnDemand {
                idle,
                at_most,
                options,
            } = on_demand;
            if at_most == Some(0) {
                return Err(refused("at_most", "at least 1"));
            }
            options.check(pattern)?;
            if options.has_place() {
                return Err(refused("name", "left to the pattern, as the parent"));
            }
            let prefix = Arc::<str>::from(prefix);
            let offer = Offer {
                one: options.one_of_many(&prefix),
                prefix,
                map: self.map_for(&options, kind.map(), pattern)?,
                launch: kind.launch_on_demand(factory),
                idle,
                at_most: at_most.unwrap_or(usize::MAX),
            };
            match shielded(self.0.registry.send(offer)).await {
                Ok(offered) => offered,
                Err(_) => Err(MountError::Stopped),
            }
        })
    }
}
