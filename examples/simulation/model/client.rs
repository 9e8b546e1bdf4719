//! The model's clients: they send in every way there is.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mycelia::WeakSystem;
use mycelia::prelude::*;
use mycelia::schedule::{Overflow, Priority};
use mycelia_test::Rng;

use super::book::Book;
use super::faults::{BURNS, PANICS};
use super::futures::{self, RudelyWoken, caught};
use super::plan::Plan;
use super::work::{Deed, Names, Reply, Work};

/// The number of the sender that sends last.
pub(crate) const LAST: u32 = 999;

pub(crate) const OVERFLOWS: [Overflow; 4] = [
    Overflow::Wait,
    Overflow::Reject,
    Overflow::DropNewest,
    Overflow::DropOldest,
];

pub(crate) struct Client {
    number: u32,
    /// It keeps no system running: one may be dropped while its clients send.
    system: WeakSystem,
    plan: Rc<Plan>,
    book: Arc<Book>,
    names: Arc<Names>,
    rng: Rng,
    /// By the number of the subsystem and the priority.
    handles: Vec<(u32, Priority, Route<Work>)>,
}

impl Client {
    pub(crate) fn new(
        number: u32,
        system: &System,
        plan: &Rc<Plan>,
        book: &Arc<Book>,
        names: &Arc<Names>,
        rng: Rng,
    ) -> Self {
        Client {
            number,
            system: system.downgrade(),
            plan: plan.clone(),
            book: book.clone(),
            names: names.clone(),
            rng,
            handles: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        for _ in 0..self.plan.actions {
            match self.rng.below(13) {
                0 => {
                    let pause = Duration::from_millis(self.rng.below(6).into());
                    tokio::time::sleep(pause).await;
                }
                1 => tokio::task::yield_now().await,
                2 => mycelia_test::spend(Duration::from_micros(self.rng.below(500).into())),
                3 if self.plan.tasks => self.book.tasks.cancel_one(),
                3..7 => self.by_handle().await,
                _ => self.by_path().await,
            }
        }
    }

    fn work(&self) -> Work {
        Work::new(&self.book, self.number, self.plan.deed(&self.rng))
    }

    fn target(&self) -> u32 {
        self.rng.below(self.names.targets.len() as u32)
    }

    fn limit(&self, most: u32) -> Duration {
        Duration::from_millis(1 + u64::from(self.rng.below(most)))
    }

    async fn by_path(&mut self) {
        let Some(system) = self.system.upgrade() else {
            return;
        };
        let system = &system;
        let mut work = self.work();
        let name = &self.names.targets[self.target() as usize];
        let path = match self.rng.below(11) {
            at @ 8..11 => {
                work.deed = Deed::Later(self.plan.fate(&self.rng));
                match at {
                    8 => format!("{name}://later/wait"),
                    _ => format!("{name}://later"),
                }
            }
            0..2 => format!("{name}://slot/{}", self.rng.below(3)),
            2 => format!("{name}://quick"),
            3 if self.rng.chance(0.5) => {
                work.token.is_to_block(true);
                format!("{name}://blocking")
            }
            3 => {
                let word = match self.book.faults.strike() {
                    true => *self.rng.pick(&[PANICS, BURNS]),
                    false => "calm",
                };
                format!("{name}://fussy/{word}")
            }
            _ => format!("{name}://work"),
        };
        let path = &*path;
        match self.rng.below(12) {
            0..4 => self.tells(system.tell(path, work)).await,
            4..6 => {
                let told = caught(async { system.try_tell(path, work) }).await;
                self.told(told);
            }
            6 => {
                let limit = self.limit(10);
                self.tells(system.tell_within(path, work, limit)).await;
            }
            7 => {
                let work = work.asked();
                self.asks(work.number, system.ask(path, work)).await;
            }
            8 => {
                let work = work.asked();
                self.asks(work.number, system.try_ask(path, work)).await;
            }
            9 => self.gives_up(work.asked(), system, path).await,
            _ => {
                let (work, limit) = (work.asked(), self.limit(10));
                let number = work.number;
                self.asks(number, system.ask_within(path, work, limit))
                    .await;
            }
        }
    }

    /// Asks, and gives up: after its first look, or later.
    async fn gives_up(&self, work: Work, system: &System, path: &str) {
        let number = work.number;
        self.book.asks();
        let limit = Duration::from_millis(self.rng.below(6).into());
        let asked = tokio::time::timeout(limit, caught(system.ask(path, work)));
        // What waits for room is the sender's yet: so is a panic of its drop.
        match futures::caught_in_its_drop(asked).await {
            Some(Ok(Some(asked))) => self.book.asked(number, asked),
            Some(Ok(None)) => self.book.unwound(true),
            Some(Err(_)) | None => self.book.gave_up(),
        }
    }

    fn told(&self, told: Option<Result<(), Undelivered<Work>>>) {
        match told {
            Some(told) => self.book.told(told),
            None => self.book.unwound(false),
        }
    }

    /// Tells, and now and then forgets that, or has a waker that panics.
    async fn tells(&self, telling: impl Future<Output = Result<(), Undelivered<Work>>>) {
        let faults = &self.book.faults;
        if faults.forgets() {
            let told = caught(async { futures::begin_and_forget(telling) }).await;
            match told {
                Some(None) => faults.forgot(),
                Some(told @ Some(_)) => self.told(told),
                None => self.told(None),
            }
        } else if faults.strike() {
            self.told(caught(RudelyWoken(Box::pin(telling))).await);
        } else {
            self.told(caught(telling).await);
        }
    }

    /// The same for an ask.
    async fn asks(&self, number: u64, asking: impl Future<Output = Result<Reply, AskError<Work>>>) {
        self.book.asks();
        let faults = &self.book.faults;
        let asked = if faults.forgets() {
            match caught(async { futures::begin_and_forget(asking) }).await {
                Some(None) => return faults.forgot(),
                asked => asked.flatten(),
            }
        } else if faults.strike() {
            caught(RudelyWoken(Box::pin(asking))).await
        } else {
            caught(asking).await
        };
        match asked {
            Some(asked) => self.book.asked(number, asked),
            None => self.book.unwound(true),
        }
    }

    async fn by_handle(&mut self) {
        let target = self.target();
        let priority = *self.rng.pick(&[
            Priority::Normal,
            Priority::Normal,
            Priority::Normal,
            Priority::High,
            Priority::Low,
            Priority::Control,
        ]);
        let known = |(at, of, _): &&(u32, Priority, Route<Work>)| *at == target && *of == priority;
        let handle = match self.handles.iter().find(known) {
            Some((.., handle)) => handle.clone(),
            None => {
                let Some(system) = self.system.upgrade() else {
                    return;
                };
                let Ok(handle) = system.route::<Work>(self.names.path(target as u8)) else {
                    return;
                };
                let handle = handle.with_priority(priority);
                self.handles.push((target, priority, handle.clone()));
                handle
            }
        };
        let work = Work {
            priority,
            ..self.work()
        };
        match self.rng.below(5) {
            0..2 => self.tells(handle.tell(work)).await,
            2 => self.told(Some(handle.try_tell(work))),
            3 => {
                let limit = self.limit(20);
                self.tells(handle.tell_within(work, limit)).await;
            }
            _ if work.deed.is_kept() => self.told(Some(handle.try_tell(work))),
            _ => {
                let (work, limit) = (work.asked(), self.limit(20));
                self.asks(work.number, handle.ask_within(work, limit)).await;
            }
        }
    }
}
