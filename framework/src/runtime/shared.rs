//! The state that all parts of a running system share: one value per system, no globals.

use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use futures_util::future::BoxFuture;
use once_cell::sync::OnceCell;
use tokio::sync::{Notify, watch};

use crate::base::clock::{Clock, Stamp};
use crate::base::sync::{AtomicU8, AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::base::thread_handle::Executor;
use crate::base::user_code::Contained;
use crate::books::dead_letters::{DeadLetter, DeadLetters, DeadReason};
use crate::directory::{Directory, Mounted};
use crate::envelope::Envelope;
use crate::envelope::pool::Pool;
use crate::mailbox::orders::{Report, Reported};
use crate::mailbox::{Mailbox, MailboxId};
use crate::route::extract::States;
use crate::route::{Kinds, Patience, RouteMap};
use crate::runtime::blocking::Blocking;
use crate::runtime::deadlock::WaitGraph;
use crate::thread::Local;
use crate::thread::stamps::Stamps;
use crate::words::events::Events;
use crate::words::stop_reason::StopReason;
use crate::words::tap::TapSlot;
use crate::words::trace::TraceId;

/// The state of a system that its threads share.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) clock: Clock,
    pub(crate) stamps: Stamps,
    /// Counts the supervisor's intervals. Written by the supervisor, read by senders and hosts that share stamps.
    tick: AtomicU32,
    /// The deadline of asks that set none.
    pub(crate) patience: Patience,
    pub(crate) states: States,
    pub(crate) directory: Arc<Directory>,
    pub(crate) kinds: Kinds,
    pub(crate) waits: Arc<WaitGraph>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) events: Events,
    pub(crate) blocking: Blocking,
    /// The tap on the system's messages, if one is set.
    pub(crate) tap: TapSlot,
    /// The name of the strategy in use.
    pub(crate) strategy: Mutex<&'static str>,
    /// The registry's address, to which hosts report.
    pub(crate) reports: OnceCell<WeakRecipient<Report>>,
    /// The state of the random numbers.
    chance: AtomicU64,
    /// How long a stop waits for accepted messages, unless the caller sets a deadline.
    pub(crate) stop_deadline: Duration,
    /// When a handler that has not returned counts as stuck; `None` for never.
    pub(crate) stuck_after: Option<Duration>,
    /// The threads that stuck handlers hold. Written by the supervisor.
    pub(crate) held_threads: Mutex<Vec<usize>>,
    /// Why the system stops, `None` if it was simply requested; and whether all subsystems have ended.
    stopping: watch::Sender<(Option<StopReason>, bool)>,
    /// The signal that makes a stop end before its deadline.
    hurry: watch::Sender<Option<&'static str>>,
    /// The functions to run before a stop; taken by the first stop.
    before_stop: Mutex<Option<Vec<BeforeStop>>>,
    /// The keepers' executor. It drives the timers of askers on other executors.
    pub(crate) keepers: Executor,
    /// The system's [`Phase`], which only goes up. Written by a stop and by the drop of the system, read by every send.
    phase: AtomicU8,
}

/// A function to run before a stop. It returns a future, unless the system has been dropped. The future's error
/// says why it failed.
pub(crate) type BeforeStop =
    Contained<Box<dyn FnOnce() -> Option<BoxFuture<'static, Result<(), Box<str>>>> + Send>>;

/// The settings with which a system starts.
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) stamps: Stamps,
    pub(crate) ask_deadline: Option<Duration>,
    pub(crate) stop_deadline: Duration,
    pub(crate) stuck_after: Option<Duration>,
    pub(crate) keep_dead_letters: usize,
    pub(crate) blocking_threads: usize,
    /// The seed of all random decisions.
    pub(crate) seed: u64,
    pub(crate) states: States,
    pub(crate) tap: TapSlot,
}

/// What must be known about a message to make a dead letter of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter {
    pub(crate) route: u16,
    pub(crate) handler: u16,
    pub(crate) sender: MailboxId,
    pub(crate) sent: Stamp,
    pub(crate) trace: TraceId,
}

impl Letter {
    pub(crate) fn of(envelope: &Envelope<'_>) -> Self {
        let head = envelope.head();
        Letter {
            route: head.route,
            handler: head.handler,
            sender: head.sender,
            sent: Stamp(head.sent),
            trace: envelope.trace(),
        }
    }
}

/// The phase of a system's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Open = 0,
    /// The system stops: only its own handlers may still send.
    Draining = 1,
    Stopped = 2,
    /// The last `System` value was dropped: messages that still wait are not handled.
    Abandoned = 3,
}

impl Shared {
    pub(crate) fn new(settings: Settings, pool: Arc<Pool>, keepers: Executor) -> Self {
        Shared {
            blocking: Blocking::new(settings.name.clone(), settings.blocking_threads),
            name: settings.name,
            pool,
            patience: Patience::new(&settings.clock, settings.ask_deadline, true),
            clock: settings.clock,
            stamps: settings.stamps,
            tick: AtomicU32::new(0),
            states: settings.states,
            directory: Arc::new(Directory::new()),
            kinds: Kinds::default(),
            waits: Arc::default(),
            dead_letters: DeadLetters::new(settings.keep_dead_letters),
            events: Events::new(),
            tap: settings.tap.seeded(settings.seed),
            strategy: Mutex::new(""),
            reports: OnceCell::new(),
            chance: AtomicU64::new(settings.seed),
            stop_deadline: settings.stop_deadline,
            stuck_after: settings.stuck_after,
            held_threads: Mutex::default(),
            stopping: watch::Sender::new((None, false)),
            hurry: watch::Sender::new(None),
            before_stop: Mutex::new(Some(Vec::new())),
            keepers,
            phase: AtomicU8::new(Phase::Open as u8),
        }
    }

    /// The number of the supervisor's current interval.
    #[inline]
    pub(crate) fn tick(&self) -> u32 {
        self.tick.load(Ordering::Relaxed)
    }

    /// Begins the supervisor's next interval.
    pub(crate) fn begin_tick(&self) {
        self.tick.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Open,
            1 => Phase::Draining,
            2 => Phase::Stopped,
            _ => Phase::Abandoned,
        }
    }

    /// True if the last `System` value was dropped.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Abandoned as u8
    }

    /// True if messages of subsystem `sender` are refused; 0 is a sender outside of subsystems.
    #[inline]
    pub(crate) fn is_closed_to(&self, sender: MailboxId) -> bool {
        match self.phase() {
            Phase::Open => false,
            Phase::Draining => sender == 0,
            Phase::Stopped | Phase::Abandoned => true,
        }
    }

    /// Goes on to `phase`. Returns false if the system was in it, or further, already.
    pub(crate) fn advance(&self, phase: Phase) -> bool {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8
    }

    /// Returns a random number from 0 to 1. Steele, Lea and Flood, "Fast splittable pseudorandom number
    /// generators", 2014.
    pub(crate) fn chance(&self) -> f64 {
        let mut mixed = self
            .chance
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Sets the functions to run before a stop.
    pub(crate) fn set_before_stop(&self, all: Vec<BeforeStop>) {
        *lock(&self.before_stop) = Some(all);
    }

    /// Takes the functions to run before a stop; none if a stop has begun before.
    pub(crate) fn take_before_stop(&self) -> Vec<BeforeStop> {
        lock(&self.before_stop).take().unwrap_or_default()
    }

    /// A stop begins: refuses new messages, unless a function must run before that.
    pub(crate) fn drain_if_nothing_is_before(&self) {
        // If a stop has begun before, its functions may still run.
        let is_next = lock(&self.before_stop).as_ref().is_some_and(Vec::is_empty);
        if is_next {
            self.advance(Phase::Draining);
        }
    }

    /// Records why the system stops. Only the first reason counts.
    pub(crate) fn note_stop(&self, reason: StopReason) {
        self.stopping.send_if_modified(|(known, _)| {
            let is_news = known.is_none();
            known.get_or_insert(reason);
            is_news
        });
    }

    /// Why the system stops, once a reason is recorded.
    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        self.stopping.borrow().0.clone()
    }

    /// Notifies all waiters that all subsystems have ended.
    pub(crate) fn tell_stopped(&self) {
        self.stopping.send_modify(|(_, ended)| *ended = true);
    }

    /// Waits until all subsystems have ended. Returns why the system stopped.
    pub(crate) async fn until_stopped(&self) -> StopReason {
        let mut stopping = self.stopping.subscribe();
        // `self` holds the sender, so the channel stays open.
        let stopped = stopping.wait_for(|(_, ended)| *ended).await;
        let reason = stopped.ok().and_then(|stopped| stopped.0.clone());
        reason.unwrap_or(StopReason::Requested)
    }

    /// Makes the stop end before its deadline, because of a signal.
    #[cfg(feature = "signal")]
    pub(crate) fn hurry(&self, signal: &'static str) {
        self.hurry.send_replace(Some(signal));
    }

    /// The signal that hurried the stop, if one did.
    pub(crate) fn hurried_by(&self) -> Option<&'static str> {
        *self.hurry.borrow()
    }

    /// Waits until the stop is hurried.
    pub(crate) async fn until_hurried(&self) {
        // `self` holds the sender, so the channel stays open.
        let _ = self.hurry.subscribe().wait_for(Option::is_some).await;
    }

    /// Reports to the registry.
    pub(crate) fn report(&self, from: &Mounted, what: Reported) {
        if let Some(registry) = self.reports.get().and_then(WeakRecipient::upgrade) {
            registry.do_send(Report {
                mailbox: from.mailbox.id,
                mount: from.number,
                what,
            });
        }
    }

    /// Makes a dead letter of a message to `mailbox`.
    pub(crate) fn bury(
        &self,
        mailbox: &Mailbox,
        map: &RouteMap,
        letter: Letter,
        reason: DeadReason,
    ) {
        let (pattern, message) = map.name(letter.route, letter.handler);
        let sender = match letter.sender {
            0 => None,
            sender => self.directory.name_of(sender),
        };
        let age_ns = self.clock.between_ns(letter.sent, self.clock.now());
        self.dead_letters.add(DeadLetter {
            subsystem: mailbox.name.clone(),
            pattern,
            message,
            reason,
            sender,
            trace: letter.trace,
            age: Duration::from_nanos(age_ns),
        });
    }

    /// The subsystem whose handler runs on this thread now; 0 if none of this system does.
    #[inline]
    pub(crate) fn current(&self) -> MailboxId {
        Local::of(&self.pool).held_up()
    }

    /// The subsystem whose end waits for what runs on this thread now, its handler or a future that it has spawned; 0
    /// for none of this system.
    pub(crate) fn held_open(&self) -> MailboxId {
        Local::of(&self.pool).serving()
    }

    /// Notes that the handler that runs on this thread now has waited: when it ends, its waits must end.
    pub(crate) fn note_wait(&self) {
        Local::of(&self.pool).has_waited.set(true);
    }

    /// True if a handler runs on this thread now that can't wait for anything.
    pub(crate) fn must_not_wait(&self) -> bool {
        Local::of(&self.pool).is_in_sync_handler()
    }

    /// Makes the keepers run deferred wakes for as long as the system lives.
    pub(crate) fn keep_deferred_wakes(&self) {
        let notified = Arc::new(Notify::new());
        let bell = notified.clone();
        self.pool.deferred.set_bell(move || bell.notify_one());
        let pool = Arc::downgrade(&self.pool);
        self.keepers.spawn(async move {
            loop {
                notified.notified().await;
                match pool.upgrade() {
                    Some(pool) => pool.make_deferred_wakes(),
                    None => return,
                }
            }
        });
    }
}
