//! How a system is built: every setting with its default, then [`start`](Builder::start).

use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::stop::Progress;
use super::threads::{Plan, Threads, start_threads};
use super::{Core, OnceWeak, System};
use crate::base::clock::Clock;
use crate::base::sync::{AtomicU8, AtomicU32};
use crate::base::user_code::{Contained, contain};
use crate::envelope::pool::Pool;
use crate::envelope::token::MAX_ENVELOPES;
use crate::keepers::supervisor::strategy::{RoundRobin, Strategy};
use crate::route::extract::States;
use crate::runtime::shared::{BeforeStop, Settings};
use crate::thread::stamps::Stamps;
use crate::topics::{Topics, lead_own_topics};
use crate::words::error::StartError;
use crate::words::message::{IntoReply, Nothing};
use crate::words::supervision::RestartScope;
use crate::words::tap::TapSlot;

/// The settings of a system, before it is started.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use std::time::Duration;
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let system = System::builder()
///     .name("shop")
///     .threads(2)
///     .pool(10_000)
///     .strategy(mycelia::schedule::LoadBased::default())
///     .stop_deadline(Duration::from_secs(5))
///     .start()
///     .await?;
/// system.stop().await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    name: Box<str>,
    threads: usize,
    pool: usize,
    warm_up: Option<usize>,
    strategy: Contained<Box<dyn Strategy>>,
    clock: Option<Clock>,
    stamps: Stamps,
    stop_deadline: Duration,
    ask_deadline: Option<Duration>,
    stuck_after: Option<Duration>,
    keep_dead_letters: usize,
    blocking_threads: usize,
    restart_scope: RestartScope,
    states: States,
    before_stop: Vec<Contained<Begin>>,
    pub(crate) tap: TapSlot,
}

/// Begins what runs before a stop.
type Begin = Box<dyn FnOnce(System) -> BoxFuture<'static, Result<(), Box<str>>> + Send>;

impl Default for Builder {
    fn default() -> Self {
        Builder {
            name: "mycelia".into(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            pool: 4096,
            warm_up: None,
            strategy: Contained::new(Box::new(RoundRobin::default())),
            clock: None,
            stamps: Stamps::Own,
            stop_deadline: Duration::from_secs(10),
            ask_deadline: Some(Duration::from_secs(30)),
            stuck_after: Some(Duration::from_secs(10)),
            keep_dead_letters: 64,
            blocking_threads: 16,
            restart_scope: RestartScope::OneForOne,
            states: States::default(),
            before_stop: Vec::new(),
            tap: TapSlot::new(),
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("threads", &self.threads)
            .field("pool", &self.pool)
            .field("strategy", &self.strategy.name())
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// The system's name, for reports and the keepers' thread. Default: `mycelia`.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Threads for subsystems, each an actix arbiter: 1 to 1024. Default: one per core. One more
    /// thread, nearly always idle, carries the registry and the supervisor.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The most envelopes, that is messages in flight, at once: 1 to about 16 million, 256 bytes
    /// each. Default: 4096.
    ///
    /// A pool of 8 or more keeps some in reserve, for subsystems that hold few messages: a sixteenth, or
    /// an eighth where that is at most 128. However greedy others are, one that is idle can be reached.
    pub fn pool(mut self, envelopes: usize) -> Self {
        self.pool = envelopes;
        self
    }

    /// Envelopes to create before the first message. Default: all of the pool.
    pub fn warm_up(mut self, envelopes: usize) -> Self {
        self.warm_up = Some(envelopes);
        self
    }

    /// How the supervisor slices the threads' time. Default: round-robin.
    pub fn strategy(mut self, strategy: impl Strategy) -> Self {
        self.strategy = Contained::new(Box::new(strategy));
        self
    }

    /// The clock that stamps messages. Default: the processor's time-stamp counter where it is
    /// invariant, else the monotonic clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How many readings of the clock a message gets. Default: three of its own.
    pub fn stamps(mut self, stamps: Stamps) -> Self {
        self.stamps = stamps;
        self
    }

    /// How long [`System::stop`] waits for accepted messages, and how long the children of a subsystem
    /// that is restarted, or has failed for good, have to end theirs. Default: 10 s.
    pub fn stop_deadline(mut self, deadline: Duration) -> Self {
        self.stop_deadline = deadline;
        self
    }

    /// How long an [`ask`](System::ask) without a deadline of its own waits for its reply. It is exact to 2 % or 10 ms,
    /// since no timer is made for it. `None`: without end. Default: 30 s.
    pub fn ask_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.ask_deadline = deadline.into();
        self
    }

    /// How long a handler may take before its subsystem counts as [stuck](crate::observe::Stuck): an event tells
    /// so, and so do snapshots while it lasts. It goes by the system's clock, and is told at most 0.7 s late. What is
    /// done about it the subsystem's [`when_stuck`](crate::MountOptions::when_stuck) says; a subsystem can have
    /// a time [of its own](crate::MountOptions::stuck_after). `None`: never. Default: 10 s.
    pub fn stuck_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.stuck_after = time.into();
        self
    }

    /// How many of the last [dead letters](crate::observe::DeadLetter) snapshots show. Default: 64.
    pub fn keep_dead_letters(mut self, letters: usize) -> Self {
        self.keep_dead_letters = letters;
        self
    }

    /// The most threads for handlers that block (`#[route("…", blocking)]`): 1 to 1024. They are started when
    /// first needed, and end when idle. Default: 16.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_threads = threads;
        self
    }

    /// Which other subsystems without a parent are restarted when one of them is. Default: none.
    pub fn restart_scope(mut self, restart_scope: RestartScope) -> Self {
        self.restart_scope = restart_scope;
        self
    }

    /// Its name before.
    #[doc(hidden)]
    #[deprecated(note = "it is `restart_scope` now")]
    pub fn together(self, restart_scope: RestartScope) -> Self {
        self.restart_scope(restart_scope)
    }

    /// State that handlers take as [`State<T>`](crate::extract::State), one value per type.
    pub fn state<T: Send + Sync + 'static>(self, state: T) -> Self {
        self.shared_state(Arc::new(state))
    }

    /// As [`state`](Self::state), for a value that others hold too.
    pub fn shared_state<T: Send + Sync + 'static>(mut self, state: Arc<T>) -> Self {
        self.states.insert(state);
        self
    }

    /// Runs this before the system is stopped, while messages still flow: it is where a server stops to
    /// accept connections, and answers the requests that it has. Only when it has ended are new messages
    /// refused. Of several, one runs after the other, in the order in which they were given.
    ///
    /// It runs for every stop: one by [`stop`](System::stop), by a signal, or because a subsystem failed too
    /// often; not for a system that is dropped. It runs on a thread of subsystems, which it must not block.
    /// It may take as long as the stop's deadline, which it shares with what follows; then, or at a second
    /// signal, it is dropped. [`StopReport::before_stop`](crate::StopReport::before_stop) tells that, and an
    /// error or a panic; the system is stopped all the same.
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    /// use std::time::Duration;
    ///
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// let (close, closed) = tokio::sync::oneshot::channel();
    /// let system = System::builder()
    ///     .before_stop(async move |_system| {
    ///         let _ = close.send(());
    ///         // … and wait until the server has answered its last request.
    ///     })
    ///     .start()
    ///     .await?;
    /// system.stop().await?;
    /// closed.await?;
    /// # Ok(()) }
    /// ```
    pub fn before_stop<F, R>(mut self, run: impl FnOnce(System) -> F + Send + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoReply<(), Later = Nothing> + 'static,
    {
        let begin: Begin = Box::new(|system| {
            // Contained while its own panic unwinds. A panic of its drop alone is reported.
            let mut run = Contained::new(Box::pin(run(system)));
            Box::pin(async move {
                let reply = poll_fn(|cx| run.as_mut().poll(cx)).await;
                let Ok(ended) = reply.into_reply();
                let dropped = contain(|| drop(run.take()));
                ended.map_err(|error| format!("{error:#}"))?;
                dropped
            })
        });
        self.before_stop.push(Contained::new(begin));
        self
    }

    /// Starts the threads, the registry and the supervisor. Works on any executor.
    ///
    /// # Errors
    /// A setting out of range, or a thread that the operating system does not give.
    pub async fn start(self) -> Result<System, StartError> {
        self.start_with(start_threads).await
    }

    /// Starts everything on threads that `start` makes.
    pub(crate) async fn start_with<F: Future<Output = Result<Threads, StartError>>>(
        self,
        start: impl FnOnce(Plan) -> F,
    ) -> Result<System, StartError> {
        let settings = [
            ("threads", self.threads, 1024, "1 to 1024"),
            ("blocking_threads", self.blocking_threads, 1024, "1 to 1024"),
            (
                "pool",
                self.pool,
                MAX_ENVELOPES,
                "1 to 16,777,207 envelopes",
            ),
        ];
        for (setting, value, most, must_be) in settings {
            if !(1..=most).contains(&value) {
                return Err(StartError::BadSetting { setting, must_be });
            }
        }
        let pool = Arc::new(Pool::new(self.pool as u32));
        pool.warm_up(self.warm_up.unwrap_or(self.pool).min(self.pool) as u32);
        let name: Arc<str> = self.name.into();
        let itself = Arc::new(OnceWeak::default());
        let mut states = self.states;
        states.insert(itself.clone());
        let topics = Topics::new();
        let Threads {
            shared,
            registry,
            supervisor,
            keeper,
        } = start(Plan {
            settings: Settings {
                name,
                clock: self.clock.unwrap_or_default(),
                stamps: self.stamps,
                ask_deadline: self.ask_deadline,
                stop_deadline: self.stop_deadline,
                stuck_after: self.stuck_after,
                keep_dead_letters: self.keep_dead_letters,
                blocking_threads: self.blocking_threads,
                seed: RandomState::new().build_hasher().finish(),
                states,
                tap: self.tap,
            },
            threads: self.threads,
            topics: topics.clone(),
            pool,
            restart_scope: self.restart_scope,
            strategy: self.strategy,
        })
        .await?;
        lead_own_topics(&shared, &topics);
        let system = System(Arc::new(Core {
            shared,
            topics,
            registry: Contained::new(registry),
            supervisor: Contained::new(supervisor),
            keeper,
            threads: self.threads,
            is_stopping: AtomicU8::new(0),
            stop: Progress::default(),
            kinds: dashmap::DashMap::new(),
            next_table: AtomicU32::new(1),
        }));
        itself.set(&system);
        let before_stop = self.before_stop.into_iter().map(|mut begin| -> BeforeStop {
            let weak = system.downgrade();
            let begin = move || weak.upgrade().map(begin.take());
            Contained::new(Box::new(begin))
        });
        system.0.shared.set_before_stop(before_stop.collect());
        Ok(system)
    }
}
