//! Groups: several routes reached by one handle.

use std::fmt;
use std::sync::Arc;

use futures_util::future::{join_all, select_ok};

use super::handle::Route;
use crate::base::sync::{AtomicUsize, Ordering};
use crate::runtime::shared::Shared;
use crate::words::error::{AskError, SendError, Undelivered};
use crate::words::message::Message;

/// Several routes that take the same message, in subsystems that need have nothing else in common; see
/// [`System::group`](crate::System::group). Cloning copies a pointer; the clones take turns together.
///
/// Where several subsystems are the same and share a name, mount [`Replicas`](crate::Replicas) instead.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
///
/// #[derive(Message, Clone)]
/// #[message(reply = String)]
/// struct Lookup(&'static str);
///
/// #[derive(Subsystem, Default)]
/// struct Cache;
/// #[derive(Subsystem, Default)]
/// struct Disk;
///
/// #[routes]
/// impl Cache {
///     #[route("find")]
///     fn find(&mut self, Lookup(key): Lookup) -> anyhow::Result<String> {
///         anyhow::bail!("`{key}` is not here")
///     }
/// }
///
/// #[routes]
/// impl Disk {
///     #[route("find")]
///     fn find(&mut self, Lookup(key): Lookup) -> String {
///         format!("{key} from the disk")
///     }
/// }
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let system = System::builder().start().await?;
/// system.mount(Cache::default).await?;
/// system.mount(Disk::default).await?;
/// let sources = system.group::<Lookup>(["cache://find", "disk://find"])?;
/// // The first that has it.
/// assert_eq!(sources.ask_first(Lookup("a")).await?, "a from the disk");
/// // All of them, in the order in which they were given.
/// let all = sources.ask_all(Lookup("a")).await;
/// assert!(all[0].is_err() && all[1].is_ok());
/// # system.stop().await?;
/// # Ok(()) }
/// ```
pub struct RouteGroup<M: Message> {
    routes: Arc<[Route<M>]>,
    /// Counts the messages that were sent in turn.
    turn: Arc<AtomicUsize>,
}

impl<M: Message> Clone for RouteGroup<M> {
    fn clone(&self) -> Self {
        RouteGroup {
            routes: self.routes.clone(),
            turn: self.turn.clone(),
        }
    }
}

impl<M: Message> fmt::Debug for RouteGroup<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter()).finish()
    }
}

/// True if another member may take a message that this one refused: it is gone, and not only full.
fn is_gone<M>(refused: &Undelivered<M>) -> bool {
    matches!(
        refused.reason(),
        SendError::Closed { .. } | SendError::NoSubsystem { .. }
    )
}

impl<M: Message> RouteGroup<M> {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        paths: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, SendError> {
        let routes = paths.into_iter();
        let routes = routes.map(|path| Route::resolve(shared, path.as_ref()));
        let routes: Arc<[_]> = routes.collect::<Result<_, _>>()?;
        if routes.is_empty() {
            return Err(SendError::BadSetting {
                setting: "group",
                must_be: "of one route at least",
            });
        }
        Ok(RouteGroup {
            routes,
            turn: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// The routes, in the order in which they were given.
    pub fn routes(&self) -> &[Route<M>] {
        &self.routes
    }

    /// All routes, from the one whose turn it is.
    fn in_turn(&self) -> impl Iterator<Item = &Route<M>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(self.routes.len()).unwrap_or(0);
        let (before, from) = self.routes.split_at(at);
        from.iter().chain(before)
    }

    /// Sends a message to one of them, in turn; waits while that one has no room. One that has ended is passed
    /// over.
    ///
    /// # Errors
    /// As [`Route::tell`](crate::Route::tell), of the last that was tried; the message is handed back.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it has sent nothing; the message is dropped with it.
    pub async fn tell(&self, message: M) -> Result<(), Undelivered<M>> {
        let mut routes = self.in_turn().peekable();
        let mut message = message;
        loop {
            let route = routes.next().expect("the last one returns");
            match route.tell(message).await {
                Err(refused) if is_gone(&refused) && routes.peek().is_some() => {
                    message = refused.into_message();
                }
                told => return told,
            }
        }
    }

    /// Asks one of them, in turn. One that has ended is passed over.
    ///
    /// # Errors
    /// As [`Route::ask`](crate::Route::ask), of the last that was tried.
    ///
    /// # Cancel safety
    /// Dropped before its end, the message may be handled all the same; its reply is dropped.
    pub async fn ask(&self, message: M) -> Result<M::Reply, AskError<M>> {
        let mut routes = self.in_turn().peekable();
        let mut message = message;
        loop {
            let route = routes.next().expect("the last one returns");
            match route.ask(message).await {
                Err(AskError::Undelivered(refused))
                    if is_gone(&refused) && routes.peek().is_some() =>
                {
                    message = refused.into_message();
                }
                asked => return asked,
            }
        }
    }
}

impl<M: Message + Clone> RouteGroup<M> {
    /// Sends a clone of the message to each of them, and waits until all have accepted or refused theirs. What came
    /// of it, in the order of the routes.
    ///
    /// # Cancel safety
    /// Dropped before its end, some may have their message and some not.
    pub async fn tell_all(&self, message: M) -> Vec<Result<(), Undelivered<M>>> {
        join_all(self.routes.iter().map(|route| route.tell(message.clone()))).await
    }

    /// Asks all of them, and waits for all replies. What came of it, in the order of the routes.
    ///
    /// # Cancel safety
    /// As [`ask`](Self::ask), of each.
    pub async fn ask_all(&self, message: M) -> Vec<Result<M::Reply, AskError<M>>> {
        join_all(self.routes.iter().map(|route| route.ask(message.clone()))).await
    }

    /// Asks all of them, and returns the first reply. The others are given up: what they have not begun, they will
    /// not handle.
    ///
    /// # Errors
    /// No one has replied; the last error.
    ///
    /// # Cancel safety
    /// As [`ask`](Self::ask), of each.
    pub async fn ask_first(&self, message: M) -> Result<M::Reply, AskError<M>> {
        let asks = self.routes.iter();
        let asks = asks.map(|route| Box::pin(route.ask(message.clone())));
        select_ok(asks).await.map(|(reply, _)| reply)
    }
}
