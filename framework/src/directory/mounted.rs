//! A subsystem while it is mounted, and what the keepers know of it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::base::clock::{Clock, Stamp};
use crate::base::sync::{AtomicU8, AtomicU32, AtomicU64, Mutex, OnceBox, Ordering, lock};

use crate::base::task_list::TaskList;
use crate::books::latency::{self, Book, LatencySummary, Recent, RouteLatency, Sample, Totals};
use crate::directory::life::LifeCell;
use crate::directory::replicas::Group;
use crate::directory::spawning::Spawning;
use crate::directory::work::{WorkCell, WorkMark};
use crate::mailbox::Mailbox;
use crate::mailbox::door::Door;
use crate::mailbox::orders::Control;
use crate::route::RouteMap;
use crate::words::error::HookFailure;
use crate::words::events::EndReason;
use crate::words::ledger::Ledger;
use crate::words::slice::{Slice, SliceCell};
use crate::words::stuck::{Stuck, StuckIn};
use crate::words::supervision::{Policy, RestartScope};

/// A subsystem while it is mounted. What a message's way touches stands first.
#[repr(C)]
pub(crate) struct Mounted {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) map: Arc<RouteMap>,
    /// What it may do in one turn.
    pub(crate) slice: SliceCell,
    /// Its own histograms, if it has some beside those of its kind.
    own_book: Option<Box<Book>>,
    /// The subsystems that it stands for, if it is only a name for several: then it has no host.
    group: OnceBox<Group>,
    pub(crate) life: LifeCell,
    /// What its host is at.
    pub(crate) work: WorkCell,
    /// No other mount of the system has it.
    pub(crate) number: u64,
    /// The system's thread on which it lives.
    pub(crate) thread: usize,
    pub(crate) weight: u32,
    /// Its place in the directory's list.
    pub(super) roster_at: AtomicU32,
    /// None for the one that all have who ask for nothing else.
    policy: Option<Box<Policy>>,
    /// Who is restarted when one of its children is.
    pub(crate) restart_scope: RestartScope,
    /// The same of its parent, for itself.
    siblings: RestartScope,
    /// Where its key begins in its name; 0 if it was not mounted on demand.
    pub(super) key_at: u16,
    pub(crate) parent: Option<Weak<Mounted>>,
    extras: OnceBox<Extras>,
    /// Its latency goal, if it has one.
    goal: Option<Box<WaitGoal>>,
    /// Most futures that it may have running beside its mailbox.
    max_spawned: u32,
    pub(crate) restarts: AtomicU32,
    /// Messages that its handlers keep for later.
    pub(crate) kept: AtomicU32,
    /// Mounts below it that were asked for, and that the registry has not settled yet.
    pub(super) asked: AtomicU32,
    /// Where its host takes orders.
    pub(crate) door: Door,
    /// How it ended, if that is to be told and has not been: 0, or one of those that [`note_end`] knows.
    ///
    /// [`note_end`]: Self::note_end
    end: AtomicU8,
    /// Messages that had ended when the supervisor last looked.
    pub(crate) seen: AtomicU64,
    /// What the mailbox's ledger said when this mount began.
    baseline: Option<Box<Ledger>>,
    /// What its messages took. Written by its host: far from what senders read.
    totals: Totals,
}

/// What few subsystems ever have: made when it is first needed.
#[derive(Default)]
struct Extras {
    /// Its timers and streams.
    tasks: TaskList,
    /// Its futures beside the mailbox, from the first on.
    spawning: OnceBox<Spawning>,
    /// In the order in which they were started. Written by the registry.
    children: Mutex<Vec<Arc<Mounted>>>,
    last_failure: Mutex<Option<Box<str>>>,
    /// What its last hook said, if that failed.
    hook_failure: Mutex<Option<Arc<str>>>,
    /// How it ended, where a number does not say all.
    end: Mutex<Option<EndReason>>,
    /// It handles no message before it is resumed. Written by its host.
    is_paused: AtomicU8,
    /// The handler that was told to be stuck last. Written by the supervisor.
    stuck: Mutex<Option<StuckNote>>,
}

/// A handler that did not return: what its host was at, since when, and what the handler held.
struct StuckNote {
    work: WorkMark,
    since: Stamp,
    place: StuckIn,
}

#[inline(never)]
fn record_in(own: &Book, clock: &Clock, samples: &[Sample]) {
    own.enter(clock, samples);
}

/// How long messages should wait at most, 99 in 100 of them.
struct WaitGoal {
    wait: Duration,
    recent: Mutex<Recent>,
}

impl WaitGoal {
    fn boxed(wait: Duration) -> Box<Self> {
        let recent = Mutex::default();
        Box::new(WaitGoal { wait, recent })
    }
}

/// How a subsystem is to be mounted, besides what it is.
pub(crate) struct Placing {
    pub(crate) number: u64,
    pub(crate) thread: usize,
    pub(crate) weight: u32,
    pub(crate) wait_goal: Option<Duration>,
    pub(crate) own_histograms: bool,
    pub(crate) max_spawned: u32,
    pub(crate) policy: Policy,
    pub(crate) restart_scope: RestartScope,
    /// As the parent has it, or the system.
    pub(crate) siblings: RestartScope,
    pub(crate) parent: Option<Arc<Mounted>>,
    /// Where its key begins in its name; 0 if it is not mounted on demand.
    pub(crate) key_at: u16,
}

impl Mounted {
    pub(crate) fn new(mailbox: Arc<Mailbox>, map: Arc<RouteMap>, placing: Placing) -> Self {
        // Who has a goal is looked at every tick: what others of its kind wait says nothing of it.
        let has_book = placing.own_histograms || placing.wait_goal.is_some();
        Mounted {
            number: placing.number,
            life: LifeCell::new(),
            work: WorkCell::new(),
            asked: AtomicU32::new(0),
            baseline: Some(mailbox.ledger())
                .filter(|ledger| ledger.sent > 0)
                .map(Box::new),
            thread: placing.thread,
            weight: placing.weight,
            roster_at: AtomicU32::new(0),
            key_at: placing.key_at,
            policy: Some(placing.policy)
                .filter(|policy| *policy != Policy::default())
                .map(Box::new),
            restart_scope: placing.restart_scope,
            siblings: placing.siblings,
            parent: placing.parent.as_ref().map(Arc::downgrade),
            group: OnceBox::new(),
            extras: OnceBox::new(),
            slice: SliceCell::new(Slice::default()),
            goal: placing.wait_goal.map(WaitGoal::boxed),
            max_spawned: placing.max_spawned,
            restarts: AtomicU32::new(0),
            kept: AtomicU32::new(0),
            end: AtomicU8::new(0),
            door: Door::new(),
            seen: AtomicU64::new(mailbox.endings.finished()),
            totals: Totals::default(),
            own_book: has_book.then(|| Box::new(map.new_book())),
            map,
            mailbox,
        }
    }

    fn extras(&self) -> &Extras {
        self.extras.get_or_init(Box::default)
    }

    /// How it is supervised.
    pub(crate) fn policy(&self) -> Policy {
        self.policy.as_deref().copied().unwrap_or_default()
    }

    /// Makes it a name for several, which has no host.
    pub(crate) fn stand_for(&self, group: Group) {
        self.door.shut();
        let _ = self.group.set(Box::new(group));
        self.mailbox.stand_for(self.map.id);
    }

    /// The subsystems that it stands for, if it is only a name for several.
    #[inline]
    pub(crate) fn group(&self) -> Option<&Group> {
        self.group.get()
    }

    /// The one below which it is mounted and which fails if it fails too often, if there is one.
    pub(crate) fn superior(&self) -> Option<Arc<Mounted>> {
        let parent = self.parent.as_ref()?.upgrade()?;
        match parent.group() {
            None => Some(parent),
            Some(_) => parent.superior(),
        }
    }

    /// True if its restart is no one else's business.
    pub(crate) fn restarts_alone(&self) -> bool {
        // A child is among its children before it is not asked for any more.
        let is_asked = || self.asked.load(Ordering::SeqCst) > 0;
        let has_none = |extras: &Extras| lock(&extras.children).is_empty();
        let is_childless = || self.extras.get().is_none_or(has_none);
        self.siblings == RestartScope::OneForOne && !is_asked() && is_childless()
    }

    /// Its children, in the order in which they were started; a name for several is one.
    pub(crate) fn children(&self) -> Vec<Arc<Mounted>> {
        let extras = self.extras.get();
        extras.map_or_else(Vec::new, |extras| lock(&extras.children).clone())
    }

    pub(crate) fn adopt(&self, child: Arc<Mounted>) {
        lock(&self.extras().children).push(child);
    }

    pub(crate) fn disown(&self, child: &Mounted) {
        let mut children = lock(&self.extras().children);
        // The youngest end first.
        let is_it = |one: &Arc<Mounted>| std::ptr::eq(&**one, child);
        let at = children.iter().rposition(is_it);
        let child = at.map(|at| children.remove(at));
        drop(children);
        drop(child);
    }

    /// Its futures beside the mailbox.
    pub(crate) fn spawning(&self) -> &Spawning {
        let new = || Box::new(Spawning::new(self.max_spawned));
        self.extras().spawning.get_or_init(new)
    }

    /// How many futures it has beside the mailbox.
    pub(crate) fn spawned(&self) -> u32 {
        let spawning = self.extras.get().and_then(|extras| extras.spawning.get());
        spawning.map_or(0, Spawning::count)
    }

    /// Its timers and streams.
    pub(crate) fn tasks(&self) -> &TaskList {
        &self.extras().tasks
    }

    /// Ends its tasks.
    pub(crate) fn end_tasks(&self) {
        if let Some(extras) = self.extras.get() {
            extras.tasks.cancel_all();
        }
    }

    /// Gives an order to its host; nothing happens if that has gone.
    pub(crate) fn order(&self, control: Control) {
        if self.door.give(control) {
            // It has left its waker, or looks at the door when it does.
            self.mailbox.wake();
        }
    }

    /// True if no path leads to it any more.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        self.life.is_gone()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        if let Some(group) = self.group() {
            let mut sum = group.retired();
            for member in self.children() {
                sum.include(member.ledger());
            }
            return sum;
        }
        let ledger = self.mailbox.ledger();
        match &self.baseline {
            Some(baseline) => ledger.minus(baseline),
            None => ledger,
        }
    }

    /// Records messages of it. To be called on its thread only.
    #[inline]
    pub(crate) fn record(&self, clock: &Clock, samples: &[Sample]) {
        let batch = self.map.book(self.thread).enter(clock, samples);
        self.totals.add(&batch, clock, samples);
        if let Some(own) = &self.own_book {
            record_in(own, clock, samples);
        }
    }

    /// What its messages waited, and what their handlers took.
    pub(crate) fn summaries(&self) -> (LatencySummary, LatencySummary) {
        self.totals.read()
    }

    /// What has been recorded on a route in its own histograms.
    pub(crate) fn read_latency(&self, route: u16) -> Option<RouteLatency> {
        let own = self.own_book.as_deref().map(|own| (own, route));
        latency::read(own.into_iter()).map(|(latency, _)| latency)
    }

    pub(crate) fn wait_goal(&self) -> Option<Duration> {
        self.goal.as_ref().map(|goal| goal.wait)
    }

    /// What 99 in 100 messages waited at most, of those recorded since the last call; `None` if it has
    /// no goal, or nothing was.
    pub(crate) fn recent_wait_p99(&self) -> Option<Duration> {
        let recent = &self.goal.as_ref()?.recent;
        let p99_ns = lock(recent).wait_p99_ns(self.own_book.as_deref()?)?;
        Some(Duration::from_nanos(p99_ns))
    }

    /// Notes how it ended, before its host tells the registry that it has: who may use its name again when
    /// that is known, tells so.
    pub(crate) fn note_end(&self, reason: EndReason) {
        let end = match reason {
            EndReason::Unmounted => 1,
            EndReason::Stopped => 2,
            EndReason::SystemStopped => 3,
            reason => {
                *lock(&self.extras().end) = Some(reason);
                4
            }
        };
        self.end.store(end, Ordering::Release);
    }

    /// How it ended, once, if it ever stood.
    pub(crate) fn take_end(&self) -> Option<EndReason> {
        match self.end.swap(0, Ordering::Acquire) {
            0 => None,
            1 => Some(EndReason::Unmounted),
            2 => Some(EndReason::Stopped),
            3 => Some(EndReason::SystemStopped),
            _ => lock(&self.extras.get()?.end).take(),
        }
    }

    pub(crate) fn note_stuck(&self, work: WorkMark, since: Stamp, place: StuckIn) {
        *lock(&self.extras().stuck) = Some(StuckNote { work, since, place });
    }

    /// How it is stuck, if it was told to be and its handler has not returned since.
    pub(crate) fn stuck(&self, clock: &Clock) -> Option<Stuck> {
        let noted = lock(&self.extras.get()?.stuck);
        let StuckNote { work, since, place } = noted.as_ref()?;
        let now = self.work.look();
        let age = Duration::from_nanos(clock.between_ns(*since, clock.now()));
        let is_stuck = now.is_under_way() && now.is_same(*work);
        is_stuck.then_some(Stuck { age, place: *place })
    }

    /// It handles no message from now on, or all again. Written by its host.
    pub(crate) fn set_paused(&self, is_paused: bool) {
        self.extras()
            .is_paused
            .store(u8::from(is_paused), Ordering::SeqCst);
    }

    pub(crate) fn is_paused(&self) -> bool {
        let extras = self.extras.get();
        extras.is_some_and(|extras| extras.is_paused.load(Ordering::SeqCst) != 0)
    }

    pub(crate) fn note_failure(&self, failure: Box<str>) {
        *lock(&self.extras().last_failure) = Some(failure);
    }

    pub(crate) fn note_hook_failure(&self, message: Arc<str>) {
        *lock(&self.extras().hook_failure) = Some(message);
    }

    /// What its last hook said, if that failed.
    pub(crate) fn hook_failure(&self) -> Option<HookFailure> {
        let message = lock(&self.extras.get()?.hook_failure).clone()?;
        let subsystem = self.mailbox.name.clone();
        Some(HookFailure { subsystem, message })
    }

    pub(crate) fn last_failure(&self) -> Option<Box<str>> {
        lock(&self.extras.get()?.last_failure).clone()
    }
}
