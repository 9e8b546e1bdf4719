//! The host: the actix actor that a subsystem lives in. `mailbox → `**`host`**` → latency`
//!
//! The host owns the user's value. Its task takes the keepers' orders out of actix's queue and gives the
//! subsystem its turns. Promise: a panic in a handler fails that message alone. The subsystem is made
//! anew by its factory; what waits in the mailbox stays.

mod backlog;
mod context;
mod deferred;
pub(crate) mod startup;
mod stamp_run;
mod ends;
mod batch;
mod hooks;
mod marked;
mod life;
mod manage;
mod obey;
mod share;
mod sweep;
mod out_of_time;
mod outcome;
mod turn;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use tokio::sync::oneshot;

use crate::base::sim::{self, Point};
use crate::base::user_code::{Contained, contain, discard};
use crate::directory::Mounted;
use crate::envelope::token::Chain;
use crate::mailbox::Limits;
use crate::mailbox::orders::{Control, Order};
use crate::route::Handlers;
use crate::route::handler::HandlerSlot;
use crate::route::handler::hooks::Hook;
use crate::runtime::shared::Shared;
use crate::thread::Local;
use crate::thread::agenda::{self, Turn};
use crate::words::events::EndReason;
use crate::words::key::Key;
use crate::words::slice::Slice;
use crate::words::supervision::{Failure, History};
use life::{Closing, Life};
use share::Share;
use startup::Startup;
use sweep::Sweeping;
use turn::Service;

/// A subsystem that has its place, and is to be started there.
pub(crate) struct Placed {
    /// None once it is taken.
    mounted: Option<Arc<Mounted>>,
    limits: Limits,
}

impl Placed {
    pub(crate) fn new(mounted: Arc<Mounted>, limits: Limits) -> Self {
        Placed {
            mounted: Some(mounted),
            limits,
        }
    }

    /// Its key, if it is mounted on demand.
    pub(crate) fn key(&self) -> Option<Key> {
        self.mounted.as_ref().and_then(|mounted| mounted.key())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // Its thread has gone, or its factory panicked.
        if let Some(mounted) = &self.mounted {
            mounted.door.shut();
        }
    }
}

/// The actor around a subsystem.
pub(crate) struct Host<S: 'static> {
    hosted: Rc<Hosted<S>>,
    /// Its number on its thread's agenda.
    number: u32,
}

/// A subsystem in its host, as its thread's agenda holds it too.
#[repr(C)]
struct Hosted<S: 'static> {
    env: HostEnv<S>,
    resident: RefCell<HostState<S>>,
}

/// What a turn needs and never changes.
struct HostEnv<S: 'static> {
    shared: Arc<Shared>,
    mounted: Arc<Mounted>,
    handlers: Arc<Handlers<S>>,
    local: Rc<Local>,
    /// Longest time that a turn may go on beginning messages, in raw units of the clock.
    turn_limit: u64,
    /// The same for a round of turns.
    round_limit: u64,
}

/// A subsystem with what it is working on. What every turn touches stands first.
#[repr(C)]
struct HostState<S: 'static> {
    closing: Closing,
    /// Its last turn ended with more to do.
    went_on: bool,
    /// Looks left at an empty mailbox before the host sleeps.
    looks: u8,
    order: Order,
    /// Kept ones are being tried again, or are to be.
    tries_kept: bool,
    /// The subsystem has changed since the kept ones were last tried.
    has_changed: bool,
    /// The handler in service has entered edges of the wait graph.
    has_waited: bool,
    /// What wakes this host's task; left with the mailbox too. Taken out during a turn.
    waker: Option<Waker>,
    lifecycle: Option<Box<Lifecycle>>,
    in_service: Option<Service>,
    life: Life,
    /// Messages whose handler has returned and whose reply is still to come, or to be ended here.
    deferred: u32,
    /// The ticket up to which messages were taken out of the inbox.
    ticket: u64,
    backlog: Chain,
    /// Messages that were kept for later; and those of them that are tried again now.
    kept: Chain,
    again: Chain,
    slot: HandlerSlot<S>,
    share: Share,
    /// Told when it stands for the first time.
    startup: Option<Startup>,
    factory: Contained<Box<dyn Fn() -> S>>,
}

/// What a subsystem has around its failures, its end and messages that expire only: made when it is first needed.
#[derive(Default)]
struct Lifecycle {
    /// Orders that came and were not obeyed yet.
    controls: VecDeque<Control>,
    history: History,
    /// The failure after which it is restarting.
    cause: Option<Failure>,
    /// Told when it is there again after a halt.
    revived: Vec<oneshot::Sender<()>>,
    /// Why it ends.
    reason: Option<EndReason>,
    sweeping: Sweeping,
    /// Told when the host has ended its last message.
    ended: Vec<oneshot::Sender<()>>,
}

impl<S: 'static> Host<S> {
    /// Makes the subsystem and the host around it, opens its mailbox, and starts it on this thread; it takes
    /// orders when this returns. There is none if the factory panics, which `startup` is told.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        mut placed: Placed,
        handlers: Arc<Handlers<S>>,
        factory: impl FnOnce() -> Box<dyn Fn() -> S>,
        startup: Startup,
    ) {
        let made = contain(|| {
            let factory = Contained::new(factory());
            let state = Box::new(factory.get()());
            (factory, state)
        });
        let (factory, state) = match made {
            Ok(made) => made,
            Err(text) => {
                let name = placed.mounted.as_ref().map(|one| one.mailbox.name.clone());
                drop(placed);
                return startup.tell_failure(name.unwrap_or_default(), text);
            }
        };
        let Some(mounted) = placed.mounted.take() else {
            return discard(state);
        };
        // With nothing to call before its first message it stands when it is there.
        let (life, waiting, stands) = match &handlers.hooks.started {
            None => (Life::Running, None, Some(startup)),
            Some(_) => (Life::Starting(Hook::Started), Some(startup), None),
        };
        let ticket = mounted.mailbox.inbox.ticket();
        mounted.mailbox.open(mounted.map.id, placed.limits);
        sim::preempt(Point::Keeper);
        let local = Local::of(&shared.pool);
        let hosted = Rc::new(Hosted {
            env: HostEnv {
                turn_limit: shared.clock.ticks(Slice::LONGEST),
                round_limit: shared.clock.ticks(agenda::ROUND_TIME),
                shared: shared.clone(),
                mounted,
                handlers,
                local: local.clone(),
            },
            resident: RefCell::new(HostState {
                factory,
                slot: HandlerSlot::new(state),
                backlog: Chain::new(),
                kept: Chain::new(),
                again: Chain::new(),
                has_changed: false,
                tries_kept: false,
                ticket,
                deferred: 0,
                in_service: None,
                life,
                startup: waiting,
                lifecycle: None,
                went_on: false,
                looks: 0,
                share: Share::default(),
                waker: None,
                order: Order::Serve,
                has_waited: false,
                closing: Closing::NotYet,
            }),
        });
        let mailbox = hosted.env.mounted.mailbox.id;
        let number = local.agenda.enlist(hosted.clone());
        hosted.env.mounted.mailbox.move_in(&local, number);
        Host { hosted, number }.launch();
        if let Some(startup) = stands {
            startup.tell_of(mailbox);
        }
    }
}

impl<S: 'static> agenda::Runnable for Hosted<S> {
    fn take_turn(&self) -> Turn {
        match self.resident.try_borrow_mut() {
            Ok(mut resident) => resident.turn(&self.env),
            Err(_) => Turn::Busy,
        }
    }

    fn wake(&self) {
        self.env.mounted.mailbox.wake();
    }
}

impl<S: 'static> HostState<S> {
    fn lifecycle(&mut self) -> &mut Lifecycle {
        self.lifecycle.get_or_insert_default()
    }

    /// True if orders have come and were not obeyed yet.
    #[inline]
    fn has_orders(&self) -> bool {
        let lifecycle = self.lifecycle.as_ref();
        lifecycle.is_some_and(|lifecycle| !lifecycle.controls.is_empty())
    }

    /// Learns what wakes the host's task, and leaves that with the mailbox. It never changes: a host is one
    /// task for life.
    fn meet_task(&mut self, env: &HostEnv<S>, waker: &Waker) {
        if !self
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            self.waker = Some(waker.clone());
            env.mounted.mailbox.leave_waker(self.waker.clone());
        }
    }
}

impl<S: 'static> actix::Handler<Control> for Host<S> {
    type Result = ();

    fn handle(&mut self, control: Control, _: &mut Self::Context) {
        let control = match control {
            Control::Spawn(work) => return drop(actix_rt::spawn(work)),
            Control::Wake(task) => return drop(task),
            control => control,
        };
        let mut resident = self.hosted.resident.borrow_mut();
        resident.lifecycle().controls.push_back(control);
    }
}

impl<S: 'static> Host<S> {
    fn meet_task(&self, waker: &Waker) {
        let Hosted { env, resident } = &*self.hosted;
        resident.borrow_mut().meet_task(env, waker);
    }

    /// Gives the subsystem its turns, and the thread's other subsystems theirs; ready when it has ended.
    fn poll(&self, task: &mut TaskContext<'_>) -> Poll<()> {
        let Hosted { env, resident } = &*self.hosted;
        resident.borrow_mut().share.come_round();
        if sim::coin(Point::Late) {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Its time counts from the end of its first turn.
        let mut first = None;
        env.local.agenda.round(self.number, || {
            let latest = env.local.latest.get();
            let first = *first.get_or_insert(latest);
            latest.0.saturating_sub(first.0) > env.round_limit
        });
        let mut resident = resident.borrow_mut();
        if resident.closing >= Closing::Over {
            resident.end(env);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<S: 'static> Drop for Host<S> {
    fn drop(&mut self) {
        let Hosted { env, resident } = &*self.hosted;
        // Not ended before only if the thread goes down around the host.
        resident.borrow_mut().end(env);
        env.mounted.door.shut();
        env.local.agenda.strike(self.number);
    }
}
