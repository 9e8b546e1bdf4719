//! The model's clients: they send in every way there is.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mycelia::prelude::*;
use mycelia::schedule::{Overflow, Priority};
use mycelia::test::Rng;

use super::book::Book;
use super::node::{Names, Work};
use super::plan::Plan;

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
    system: System,
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
            system: system.clone(),
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
                2 => mycelia::test::spend(Duration::from_micros(self.rng.below(500).into())),
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
        self.rng.below(self.names.0.len() as u32)
    }

    async fn by_path(&mut self) {
        let name = &self.names.0[self.target() as usize];
        let path = match self.rng.below(4) {
            0 => format!("{name}://slot/{}", self.rng.below(3)),
            1 => format!("{name}://quick"),
            _ => format!("{name}://work"),
        };
        let work = self.work();
        let system = &self.system;
        match self.rng.below(9) {
            0..4 => {
                let told = system.tell(&*path, work).await;
                self.book.told(told.is_ok());
            }
            4..6 => {
                let told = system.try_tell(&*path, work);
                self.book.told(told.is_ok());
            }
            6 => {
                let (number, work) = (work.number, work.asked());
                self.book.asks();
                let asked = system.ask(&*path, work).await;
                self.book.asked(number, &asked);
            }
            7 => {
                // It gives up: after its first look, or later.
                let (number, work) = (work.number, work.asked());
                self.book.asks();
                let limit = Duration::from_millis(self.rng.below(6).into());
                match tokio::time::timeout(limit, system.ask(&*path, work)).await {
                    Ok(asked) => self.book.asked(number, &asked),
                    Err(_) => self.book.gave_up(),
                }
            }
            _ => {
                let (number, work) = (work.number, work.asked());
                self.book.asks();
                let limit = Duration::from_millis(1 + u64::from(self.rng.below(10)));
                let asked = system.ask_within(&*path, work, limit).await;
                self.book.asked(number, &asked);
            }
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
                let Ok(handle) = self.system.route::<Work>(self.names.path(target as u8)) else {
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
        match self.rng.below(4) {
            0..2 => {
                let told = handle.tell(work).await;
                self.book.told(told.is_ok());
            }
            2 => {
                let told = handle.try_tell(work);
                self.book.told(told.is_ok());
            }
            _ if work.deed.is_kept() => {
                let told = handle.try_tell(work);
                self.book.told(told.is_ok());
            }
            _ => {
                let (number, work) = (work.number, work.asked());
                self.book.asks();
                let limit = Duration::from_millis(1 + u64::from(self.rng.below(20)));
                let asked = handle.ask_within(work, limit).await;
                self.book.asked(number, &asked);
            }
        }
    }
}
