//! The stage: the simulated threads, and the choice of the one that runs.
//!
//! A thread runs until it has nothing to do, or has polled 61 tasks, as in a tokio `LocalSet`. In between, at the
//! [`Point`]s where the framework asks, another thread may interrupt it: that one runs at once, on the same
//! stack, as if the operating system had switched.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::rng::Rng;
use super::thread::{SimAlarm, SimThread};
use super::time::Time;
use super::trace::Trace;
use super::{Halt, Simulation};
use mycelia::__test::{self, Chooser, Plant, Point};
use mycelia::WeakSystem;

/// The most threads that interrupt each other, one within the other.
const DEPTH: u32 = 3;
/// Likelihoods, in 256ths. Every point gets one of them for a whole simulation. A point where nothing ever
/// happens lets through what other points would always disturb.
const LIKELIHOODS: [u32; 5] = [0, 2, 16, 64, 128];
/// The likelihood of a planted error, in 256ths.
const PLANTED: u32 = 4;

pub(super) struct Stage {
    threads: RefCell<Vec<Rc<SimThread>>>,
    alarm: Arc<SimAlarm>,
    pub(super) rng: Rng,
    temper: [u32; Point::Time as usize + 1],
    plant: Option<Plant>,
    pub(super) trace: Trace,
    pub(super) time: Time,
    pub(super) systems: RefCell<Vec<WeakSystem>>,
    halt: RefCell<Option<Halt>>,
    depth: Cell<u32>,
    /// How often a thread was chosen.
    pub(super) steps: Cell<u64>,
    most_steps: u64,
    limit: Duration,
    last: Cell<u32>,
    /// True at the end: nothing is decided any more.
    is_over: Cell<bool>,
}

impl Stage {
    /// Must be called within the runtime.
    pub(super) fn new(plan: &Simulation) -> Rc<Self> {
        let rng = Rng::new(plan.seed);
        let temper = std::array::from_fn(|_| *rng.pick(&LIKELIHOODS));
        Rc::new(Stage {
            threads: RefCell::default(),
            alarm: Arc::default(),
            rng,
            temper,
            plant: plan.plant,
            trace: Trace::new(plan.keeps_trace),
            time: Time::new(),
            systems: RefCell::default(),
            halt: RefCell::default(),
            depth: Cell::new(0),
            steps: Cell::new(0),
            most_steps: plan.most_steps,
            limit: plan.limit,
            last: Cell::new(0),
            is_over: Cell::new(false),
        })
    }

    /// Adds a thread.
    pub(super) fn thread(&self, name: impl Into<String>) -> Rc<SimThread> {
        let mut threads = self.threads.borrow_mut();
        let number = threads.len() as u32 + 1;
        let thread = SimThread::new(number, name.into(), self.alarm.clone());
        threads.push(thread.clone());
        thread
    }

    /// Makes the simulation fail. The first reason counts.
    pub(super) fn halt(&self, halt: Halt) {
        self.halt.borrow_mut().get_or_insert(halt);
    }

    pub(super) fn halted(&self) -> Option<Halt> {
        self.halt.borrow().clone()
    }

    fn note(&self, point: Point, answer: u32) {
        let thread = __test::thread();
        self.trace.note(self.time.ns(), thread, point, answer);
    }

    fn decide(&self, point: Point, likelihood: u32) -> bool {
        let answer = likelihood > 0 && self.rng.below(256) < likelihood;
        self.note(point, u32::from(answer));
        answer
    }

    /// Runs one thread after the other, until `is_done` or the simulation has failed.
    pub(super) async fn run(&self, is_done: impl Fn() -> bool) {
        let end = Instant::now() + self.limit;
        let mut end_of_time = std::pin::pin!(sleep_until(end));
        while !is_done() && self.halt.borrow().is_none() {
            let Some(thread) = self.choose() else {
                // Waits until a thread has something to do. Meanwhile tokio goes from timer to timer.
                let is_over = std::future::poll_fn(|cx| {
                    self.alarm.set(cx.waker());
                    if self.threads.borrow().iter().any(|thread| thread.is_ready()) {
                        return Poll::Ready(false);
                    }
                    end_of_time.as_mut().poll(cx).map(|()| true)
                })
                .await;
                self.time.follow();
                if is_over {
                    self.halt(Halt::Stalled(self.report()));
                }
                continue;
            };
            self.note(Point::Thread, thread.number);
            if thread.is_ending() {
                thread.dismantle();
                continue;
            }
            thread.poll();
            self.pass_time();
            self.time.fire().await;
            if self.steps.get() > self.most_steps || Instant::now() >= end {
                self.halt(Halt::Endless(self.report()));
            }
        }
    }

    /// Lets time pass for the work of a thread.
    fn pass_time(&self) {
        let us = match self.rng.below(64) {
            0 => self.rng.below(5000),
            1..8 => self.rng.below(50),
            _ => self.rng.below(3),
        };
        self.time.spend(Duration::from_micros(us.into()));
        self.note(Point::Time, us);
    }

    /// Chooses the thread that runs next.
    fn choose(&self) -> Option<Rc<SimThread>> {
        let step = self.steps.get() + 1;
        self.steps.set(step);
        let threads = self.threads.borrow();
        let ready: Vec<&Rc<SimThread>> =
            threads.iter().filter(|thread| thread.is_ready()).collect();
        if ready.len() > 1 && self.rng.below(256) < self.temper[Point::Thread as usize] / 8 {
            let aside = self.rng.pick(&ready);
            aside.aside_until.set(step + u64::from(self.rng.below(64)));
        }
        let is_here = |thread: &&&Rc<SimThread>| thread.aside_until.get() <= step;
        let mut here: Vec<&Rc<SimThread>> = ready.iter().filter(is_here).copied().collect();
        if here.is_empty() {
            here = ready;
        }
        if here.is_empty() {
            return None;
        }
        let last = here.iter().find(|thread| thread.number == self.last.get());
        let chosen = match last {
            Some(last) if self.rng.below(256) < self.temper[Point::Late as usize] => last,
            _ => self.rng.pick(&here),
        };
        self.last.set(chosen.number);
        Some((*chosen).clone())
    }

    /// Runs another thread in the middle of the current one. Returns false if none can run.
    fn let_in(&self) -> bool {
        let other = {
            let threads = self.threads.borrow();
            let ready: Vec<&Rc<SimThread>> = threads
                .iter()
                .filter(|thread| thread.is_ready() && !thread.is_ending())
                .collect();
            match ready.is_empty() {
                true => return false,
                false => (*self.rng.pick(&ready)).clone(),
            }
        };
        self.note(Point::Thread, other.number);
        self.depth.set(self.depth.get() + 1);
        other.poll();
        self.depth.set(self.depth.get() - 1);
        true
    }

    /// Ends all threads. Clients end first, since they hold the systems.
    pub(super) fn dismantle(&self) {
        self.is_over.set(true);
        let threads = self.threads.take();
        let (outside, systems): (Vec<_>, Vec<_>) = threads
            .into_iter()
            .partition(|thread| !thread.name.contains('/'));
        for thread in outside.iter().chain(systems.iter().rev()) {
            thread.dismantle();
        }
    }

    /// Describes what still runs or waits, to explain why the simulation does not end.
    fn report(&self) -> String {
        let mut report = String::new();
        let ready: Vec<String> = (self.threads.borrow().iter())
            .filter(|thread| thread.is_ready())
            .map(|thread| format!("{} ({})", thread.number, thread.name))
            .collect();
        report += &format!("threads with something to do: [{}]", ready.join(", "));
        for system in self.systems.borrow().iter() {
            report += &__test::report(system);
        }
        report
    }
}

impl Chooser for Stage {
    fn coin(&self, at: Point) -> bool {
        !self.is_over.get() && self.decide(at, self.temper[at as usize])
    }

    fn below(&self, at: Point, bound: u32) -> u32 {
        let answer = self.rng.below(bound);
        self.note(at, answer);
        answer
    }

    fn preempt(&self, at: Point) {
        if self.is_over.get() || self.depth.get() == DEPTH || std::thread::panicking() {
            return;
        }
        if self.decide(at, self.temper[at as usize]) {
            self.let_in();
        }
    }

    fn wait(&self) -> bool {
        !self.is_over.get() && self.let_in()
    }

    fn spend(&self, time: Duration) {
        self.time.spend(time);
    }

    fn plants(&self, plant: Plant) -> bool {
        self.plant == Some(plant) && !self.is_over.get() && self.decide(Point::Plant, PLANTED)
    }

    fn violated(&self, what: String) {
        self.halt(Halt::Violated(what));
    }
}
