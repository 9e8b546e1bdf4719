//! Senders: the loops that send, and what each sender knows of what must come of it.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use examples_lib::program;
use futures_util::StreamExt;
use futures_util::future::try_join;
use futures_util::stream::FuturesUnordered;
use mycelia::prelude::*;
use tokio::sync::Barrier;

use crate::outcome::Reading;
use crate::pace::Pace;
use crate::plan::{Mode, Plan, Until};
use crate::subsystems::{Checksum, GetChecksum};
use crate::target::{Numbered, Target, warm_up};

/// What has been sent, by subsystem, and what the checksums must therefore be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    pub(crate) sent: [u64; 2],
    pub(crate) sums: [u64; 2],
    /// Replies that were not the right ones.
    pub(crate) wrong_replies: u64,
}

impl Expected {
    #[inline]
    fn count(&mut self, message: &Numbered) {
        let side = message.side();
        self.sent[side] += 1;
        self.sums[side] = self.sums[side].wrapping_add(message.mark());
    }

    fn merge(&mut self, other: &Expected) {
        for side in 0..2 {
            self.sent[side] += other.sent[side];
            self.sums[side] = self.sums[side].wrapping_add(other.sums[side]);
        }
        self.wrong_replies += other.wrong_replies;
    }
}

/// All senders of a run.
pub(crate) struct Crew {
    pub(crate) system: System,
    pub(crate) plan: Plan,
    pub(crate) pace: Arc<Pace>,
    /// Where senders wait for each other: before and after the measured part, and between bursts.
    gate: Barrier,
    goes_on: AtomicBool,
    /// Messages of the program itself, between bursts and at the end.
    control: AtomicU64,
    before: Mutex<Option<Reading>>,
    after: Mutex<Option<Reading>>,
}

impl Crew {
    pub(crate) fn new(system: System, plan: Plan, pace: Arc<Pace>) -> Self {
        Crew {
            gate: Barrier::new(plan.senders as usize),
            system,
            plan,
            pace,
            goes_on: AtomicBool::new(true),
            control: AtomicU64::new(0),
            before: Mutex::new(None),
            after: Mutex::new(None),
        }
    }

    /// The readings at both ends of the measured part.
    pub(crate) fn readings(&self) -> Option<(Reading, Reading)> {
        let take = |reading: &Mutex<Option<Reading>>| {
            reading
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        };
        take(&self.before).zip(take(&self.after))
    }

    pub(crate) fn control(&self) -> u64 {
        self.control.load(Ordering::Relaxed)
    }

    /// Lets all senders send: the first on this thread, each further one on its own. Returns what must come of all.
    ///
    /// # Errors
    /// A thread is not given.
    pub(crate) async fn send_all(self: &Arc<Self>) -> anyhow::Result<Expected> {
        let mut threads = Vec::new();
        for rank in 1..self.plan.senders {
            let crew = self.clone();
            let sender =
                move || actix::System::new().block_on(async move { crew.send(rank).await });
            let name = format!("stress-sender-{rank}");
            threads.push(std::thread::Builder::new().name(name).spawn(sender)?);
        }
        let mut expected = self.send(0).await;
        for thread in threads {
            // All senders have left the last gate: they are about to end.
            expected.merge(&program::join(thread));
        }
        Ok(expected)
    }

    /// Warms up, sends a share of the plan's messages, and waits until all are handled.
    async fn send(&self, rank: u64) -> Expected {
        let mut expected = Expected::default();
        let target = Target::new(&self.system, self.plan.addressing);
        let share = self.plan.share(0, self.plan.warm_up(), rank);
        self.note(warm_up(&self.system, share.end - share.start).await);
        self.settle().await;
        self.gate.wait().await;
        if rank == 0 {
            let reading = Reading::first(&self.system, &self.pace, self.control());
            *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
        self.gate.wait().await;
        match target {
            Ok(target) => match self.plan.mode {
                Mode::Burst | Mode::Sustained => self.bursts(rank, &target, &mut expected).await,
                Mode::Sequential => self.asks(rank, 1, &target, &mut expected).await,
                Mode::Window => {
                    let width = self.plan.share(0, self.plan.window, rank);
                    let width = (width.end - width.start).max(1);
                    self.asks(rank, width, &target, &mut expected).await;
                }
            },
            Err(error) => self.pace.fail(error),
        }
        self.gate.wait().await;
        if rank == 0 {
            let reading = Reading::last(&self.system, &self.pace, self.control());
            *self.after.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        }
        expected
    }

    /// Bursts: each is sent as fast as there is room, and has ended when it has been handled.
    async fn bursts(&self, rank: u64, target: &Target, expected: &mut Expected) {
        let mut from = 0;
        loop {
            let to = match self.plan.until {
                Until::Messages(messages) => messages.min(from + self.plan.burst),
                Until::Elapsed(_) => from + self.plan.burst,
            };
            let sent = self.burst(self.plan.share(from, to, rank), target, expected);
            self.note(sent.await);
            self.settle().await;
            from = to;
            if !self.goes_on(rank, from).await {
                return;
            }
        }
    }

    async fn burst(
        &self,
        numbers: std::ops::Range<u64>,
        target: &Target,
        expected: &mut Expected,
    ) -> anyhow::Result<()> {
        let stride = self.plan.stride();
        let mut from = numbers.start;
        while from < numbers.end && !self.pace.is_over() {
            let to = numbers.end.min(from + stride);
            for number in from..to {
                let message = Numbered::new(number);
                target.tell(&message).await?;
                expected.count(&message);
            }
            self.pace.advance(to - from);
            from = to;
        }
        Ok(())
    }

    /// Between two bursts: the senders wait for each other and, together, for the pause.
    async fn goes_on(&self, rank: u64, sent: u64) -> bool {
        self.gate.wait().await;
        if rank == 0 {
            let is_last = matches!(self.plan.until, Until::Messages(messages) if sent >= messages);
            if !is_last && !self.plan.pause.is_zero() {
                self.pause().await;
            }
            let goes_on = !is_last && !self.pace.is_over();
            self.goes_on.store(goes_on, Ordering::Relaxed);
        }
        self.gate.wait().await;
        self.goes_on.load(Ordering::Relaxed)
    }

    /// Sleeps for the plan's pause, with an eye on Ctrl-C.
    async fn pause(&self) {
        let began = Instant::now();
        while !self.pace.is_over() {
            let left = self.plan.pause.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            actix::clock::sleep(left.min(Duration::from_millis(100))).await;
        }
        self.pace.pause_was(began.elapsed());
    }

    /// Asks, `width` in flight at once: so many loops that each ask one at a time. A loop is made
    /// once, so that the program itself allocates nothing per message.
    async fn asks(&self, rank: u64, width: u64, target: &Target, expected: &mut Expected) {
        let messages = match self.plan.until {
            Until::Messages(messages) => messages,
            Until::Elapsed(_) => u64::MAX,
        };
        let numbers = self.plan.share(0, messages, rank);
        let (next, known) = (Cell::new(numbers.start), RefCell::new(expected));
        let stride = self.plan.stride();
        let answered = Cell::new(0);
        let ask_on = || async {
            while next.get() < numbers.end && !self.pace.is_over() {
                let message = Numbered::new(next.replace(next.get() + 1));
                match target.ask(&message).await {
                    Ok(is_right) => {
                        let mut known = known.borrow_mut();
                        known.count(&message);
                        known.wrong_replies += u64::from(!is_right);
                    }
                    Err(error) => return self.pace.fail(error),
                }
                answered.set(answered.get() + 1);
                if answered.get() == stride {
                    self.pace.advance(answered.replace(0));
                }
            }
        };
        let loops: FuturesUnordered<_> = (0..width).map(|_| ask_on()).collect();
        loops.for_each(|()| std::future::ready(())).await;
        self.pace.advance(answered.get());
    }

    /// Waits until all that this sender has sent is handled.
    async fn settle(&self) {
        match checksums(&self.system).await {
            Ok(_) => {
                self.control.fetch_add(2, Ordering::Relaxed);
            }
            Err(error) => self.pace.fail(error),
        }
    }

    fn note(&self, sent: anyhow::Result<()>) {
        if let Err(error) = sent {
            self.pace.fail(error);
        }
    }
}

/// The checksums of `api` and `db`.
pub(crate) async fn checksums(system: &System) -> anyhow::Result<[Checksum; 2]> {
    let api = async { anyhow::Ok(system.ask("api://checksum", GetChecksum).await?) };
    let db = async { anyhow::Ok(system.ask("db://checksum", GetChecksum).await?) };
    let (api, db) = try_join(api, db).await?;
    Ok([api, db])
}
