//! The probe: a subsystem for tests, which takes the place of a real one.

mod arrivals;
mod expect;
mod arrival;

use std::any::{Any, TypeId, type_name};
use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use mycelia::__test::mount_routes;
use mycelia::error::MountError;
use mycelia::{Message, MountOptions, RouteTable, Subsystem, System};
use mycelia_core::Pattern;

use crate::pattern::PathPattern;
use crate::sync::{Mutex, lock};
use arrival::Arrival;
use arrivals::{Arrivals, Arrived, Peek};
pub use expect::{Expect, ExpectMany};

/// The path and the sender of a message that came to a [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The whole path.
    pub path: String,
    /// The values of the pattern's captures, decoded.
    pub captures: Vec<String>,
    /// The text after `?` in the path.
    pub query: Option<String>,
    /// The subsystem that sent it; `None` if it came from outside.
    pub sender: Option<Arc<str>>,
}

/// A message that a test has taken from a [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received<M> {
    /// The message.
    pub message: M,
    /// Its path and its sender.
    pub call: Call,
}

/// A subsystem for tests, which takes the place of a real one. It answers by script, and keeps its messages until
/// the test takes them. Cloning it copies a pointer.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia_test::Probe;
///
/// #[derive(Message, Debug)]
/// #[message(reply = String)]
/// struct Charge(u64);
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let system = System::builder().start().await?;
/// let billing = Probe::new("billing")
///     .on::<Charge>("charge/{id}", |Charge(cents), call| {
///         Ok(format!("{cents} for {}", call.captures[0]))
///     })
///     .showing::<Charge>()
///     .mount(&system)
///     .await?;
///
/// // The code under test, elsewhere:
/// let receipt = system.ask("billing://charge/7", Charge(300)).await?;
/// assert_eq!(receipt, "300 for 7");
///
/// let charge = billing.expect::<Charge>().at("charge/7").await;
/// assert_eq!(charge.0, 300);
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Probe(Arc<Face>);

/// The state of a probe, shared by its handles.
struct Face {
    name: Box<str>,
    arrivals: Arrivals,
    routes: Vec<ProbeRoute>,
    shows: Vec<Show>,
}

/// One of the routes of a probe.
struct ProbeRoute {
    id: TypeId,
    name: &'static str,
    pattern: Box<str>,
}

/// A message type, and the function that shows its messages.
type Show = (TypeId, fn(&dyn Any) -> String);

type Enter = Box<dyn FnOnce(&mut RouteTable<Stub>, &Arc<Face>)>;

/// The subsystem behind a probe. Its state is in `Face`.
struct Stub;

impl Subsystem for Stub {
    const NAME: &'static str = "probe";
}

/// Builds a probe; made by [`Probe::new`].
#[must_use = "nothing is probed before `mount`"]
pub struct ProbeBuilder {
    name: Box<str>,
    options: MountOptions,
    routes: Vec<ProbeRoute>,
    shows: Vec<Show>,
    enter: Vec<Enter>,
}

impl ProbeBuilder {
    /// Handles messages of type `M` sent to `pattern` with `script`, which returns the reply. Its errors and
    /// panics are those of a handler.
    pub fn on<M: Message>(
        mut self,
        pattern: &str,
        script: impl FnMut(&M, &Call) -> anyhow::Result<M::Reply> + Send + 'static,
    ) -> Self {
        self.routes.push(ProbeRoute {
            id: TypeId::of::<M>(),
            name: type_name::<M>(),
            pattern: pattern.into(),
        });
        let pattern: Box<str> = pattern.into();
        self.enter.push(Box::new(move |table, face| {
            let (script, face) = (Mutex::new(script), face.clone());
            // A pattern that does not parse makes the mount fail, so its handler is never called.
            let parsed = Pattern::parse(&pattern);
            table.on(
                &pattern,
                move |_: &mut Stub, message: M, (arrival,): (Arrival,)| {
                    let call = arrival.call(&face.name, parsed.as_ref());
                    let script = &mut *lock(&script);
                    let answer = catch_unwind(AssertUnwindSafe(|| script(&message, &call)));
                    face.arrivals.add(face.arrived(message, call));
                    answer.unwrap_or_else(|panic| resume_unwind(panic))
                },
            );
        }));
        self
    }

    /// Accepts messages of type `M`, which have no reply.
    pub fn takes<M: Message<Reply = ()>>(self, pattern: &str) -> Self {
        self.on::<M>(pattern, |_, _| Ok(()))
    }

    /// Answers every message of type `M` with a clone of `reply`.
    pub fn replies<M: Message>(self, pattern: &str, reply: M::Reply) -> Self
    where
        M::Reply: Clone,
    {
        self.on::<M>(pattern, move |_, _| Ok(reply.clone()))
    }

    /// Answers the first message of type `M` with the first of `answers`, the next one with the next. When none
    /// is left, messages are answered with an error.
    pub fn replies_in_turn<M: Message>(
        self,
        pattern: &str,
        answers: impl IntoIterator<Item = anyhow::Result<M::Reply>>,
    ) -> Self {
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        let all = answers.len();
        self.on::<M>(pattern, move |_, call| {
            let none = || anyhow!("the probe at `{}` has {all} answers, no more", call.path);
            answers.pop_front().unwrap_or_else(|| Err(none()))
        })
    }

    /// Makes the texts of failures show messages of type `M` as `{:?}`.
    pub fn showing<M: Message + Debug>(mut self) -> Self {
        fn show<M: Debug + 'static>(message: &dyn Any) -> String {
            (message.downcast_ref::<M>()).map_or_else(String::new, |message| format!("{message:?}"))
        }
        self.shows.push((TypeId::of::<M>(), show::<M>));
        self
    }

    /// Sets how the probe is mounted: its thread, its capacity, its parent. The name stays the probe's.
    pub fn options(mut self, options: MountOptions) -> Self {
        self.options = options;
        self
    }

    /// Mounts the probe.
    ///
    /// # Errors
    /// As [`System::mount`]: the name is taken, or a route has a mistake.
    pub async fn mount(self, system: &System) -> Result<Probe, MountError> {
        let mut mounted = None;
        let routes = |name: &str, table: &mut RouteTable<Stub>| {
            let face = mounted.insert(Probe(Arc::new(Face {
                name: name.into(),
                arrivals: Arrivals::default(),
                routes: self.routes,
                shows: self.shows,
            })));
            for enter in self.enter {
                enter(table, &face.0);
            }
        };
        mount_routes(system, self.options, self.name, routes, || Stub).await?;
        Ok(mounted.expect("its routes were entered"))
    }
}

impl Face {
    fn arrived<M: Message>(&self, message: M, call: Call) -> Arrived {
        let id = TypeId::of::<M>();
        let show = self.shows.iter().find(|(of, _)| *of == id);
        Arrived {
            id,
            name: type_name::<M>(),
            call,
            shown: show.map(|(_, show)| show(&message)),
            message: Some(Box::new(message)),
        }
    }

    /// Completes a path given by a test, with or without the probe's name.
    fn path(&self, text: &str) -> String {
        if text.contains("://") {
            text.into()
        } else {
            format!("{}://{text}", self.name)
        }
    }

    /// Returns why an `M` can't come to that path, if it can't.
    fn excludes<M: Message>(&self, path: Option<&str>) -> Option<String> {
        let takes = |route: &&ProbeRoute| route.id == TypeId::of::<M>();
        let leads = |route: &&ProbeRoute| {
            // A route's pattern is parsed like a pattern of the test, so that both are compared by what they
            // match.
            let pattern = PathPattern::parse(&self.path(&route.pattern));
            path.is_none_or(|path| {
                path.contains(['{', '*']) || pattern.is_ok_and(|pattern| pattern.matches(path))
            })
        };
        if self.routes.iter().filter(takes).any(|route| leads(&route)) {
            return None;
        }
        let mut text = String::from("it has no such route; its routes are:");
        for route in &self.routes {
            let path = self.path(&route.pattern);
            let _ = write!(text, "\n  `{}` at `{path}`", route.name);
        }
        Some(text)
    }
}

impl Probe {
    /// Makes a builder of a probe that takes the place of the subsystem with that name. Declare its routes, then
    /// mount it.
    #[expect(clippy::new_ret_no_self, reason = "its routes come first")]
    pub fn new(name: impl Into<Box<str>>) -> ProbeBuilder {
        ProbeBuilder {
            name: name.into(),
            options: MountOptions::new(),
            routes: Vec::new(),
            shows: Vec::new(),
            enter: Vec::new(),
        }
    }

    /// The name under which the probe is mounted.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many messages came, including those that the test has taken.
    pub fn count(&self) -> usize {
        self.0.arrivals.count().0
    }

    /// Expects a message of type `M` and takes the oldest one. Narrow it down with [`at`](Expect::at) and
    /// [`matching`](Expect::matching), then `.await` it. Other messages stay.
    ///
    /// # Panics
    /// When awaited, if none comes within 5 s of real time, or the time set by [`within`](Expect::within). The
    /// text says what was expected, where in the test, and what came instead. Panics at once if the probe has no
    /// route for it.
    ///
    /// # Cancel safety
    /// If the future is dropped, no message was taken.
    #[track_caller]
    pub fn expect<M: Message>(&self) -> Expect<'_, M> {
        Expect::new(&self.0, false)
    }

    /// As [`expect`](Self::expect), but no other message may come before it. Use it for messages in order.
    ///
    /// # Panics
    /// As [`expect`](Self::expect); also if the oldest message that the test has not taken is another one.
    #[track_caller]
    pub fn expect_next<M: Message>(&self) -> Expect<'_, M> {
        Expect::new(&self.0, true)
    }

    /// Expects `n` messages of type `M`, in the order in which they came; see [`Expect::times`].
    #[track_caller]
    pub fn expect_n<M: Message>(&self, n: usize) -> ExpectMany<'_, M> {
        self.expect().times(n)
    }

    /// Expects that no message is left to take, and that none comes within this time. It always waits that long,
    /// in real time.
    ///
    /// # Panics
    /// When awaited, if a message is left or comes.
    #[track_caller]
    pub fn expect_nothing(&self, within: Duration) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let look = |all: &mut [Arrived]| match all.iter().any(|one| one.message.is_some()) {
                true => Peek::Never::<()>,
                false => Peek::NotYet,
            };
            let Err(came) = self.0.arrivals.until(within, look).await else {
                unreachable!("nothing is looked for");
            };
            assert!(
                self.0.arrivals.count().1 == 0,
                "`{}` was to get nothing for {within:?} ({place})\n{came}",
                self.0.name
            );
        }
    }
}

impl Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (came, left) = self.0.arrivals.count();
        f.debug_struct("Probe")
            .field("name", &self.0.name)
            .field("came", &came)
            .field("left", &left)
            .finish()
    }
}

impl Debug for ProbeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let routes = self.routes.iter().map(|route| &route.pattern);
        f.debug_struct("ProbeBuilder")
            .field("name", &self.name)
            .field("routes", &routes.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
