//! Senders: what each sends, where to, and what it does with a message that comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mycelia::prelude::*;

use crate::faults::{RudelyWoken, begin_and_forget};
use crate::log::{Fate, Log};
use crate::options::Plant;
use crate::scene::{BLOCKING, Job, NEIGHBOURS, PLACES, Reply, job};
use examples_lib::chance::mix;
use examples_lib::interrupt;

/// How messages are sent in a round.
pub(crate) struct Plan {
    pub(crate) messages: u64,
    pub(crate) senders: u64,
    /// Of all senders together, per second.
    pub(crate) rate: u64,
    pub(crate) seed: u64,
    /// False: nothing fails, and no one is attacked.
    pub(crate) is_chaos: bool,
    pub(crate) plant: Option<Plant>,
}

/// How far the senders have come.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) accepted: AtomicU64,
    /// Sends that were refused; the message came back and was sent elsewhere.
    pub(crate) refused: AtomicU64,
    pub(crate) wrong_replies: AtomicU64,
    /// Asks that were accepted and forgotten: each may keep its envelope.
    pub(crate) forgotten: AtomicU64,
}

/// What is decided of a message before it is sent.
struct Draft {
    place: usize,
    fate: Fate,
    verb: Verb,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    TellPath,
    TellHandle,
    /// To a handler that blocks, if the place has one.
    TellBlocking,
    /// To a handler whose reply comes later, if the place has one.
    TellLater,
    TellWithin(Duration),
    Ask,
    AskLater,
    TryAsk,
    AskWithin(Duration),
    /// With a waker that panics.
    AskRudely,
    /// And forgets that it did.
    AskAndForget,
}

impl Verb {
    fn is_ask(self) -> bool {
        matches!(
            self,
            Verb::Ask
                | Verb::AskLater
                | Verb::TryAsk
                | Verb::AskWithin(_)
                | Verb::AskRudely
                | Verb::AskAndForget
        )
    }
}

impl Plan {
    /// Everything about a message, from its number and the seed alone.
    fn draft(&self, number: u64) -> Draft {
        let chance = mix(self.seed ^ mix(number));
        let place = match chance & 3 {
            0 => (chance >> 2) as usize % NEIGHBOURS,
            _ => NEIGHBOURS + (chance >> 2 & 0xffff) as usize % (PLACES.len() - NEIGHBOURS),
        };
        let is_attacked = self.is_chaos && place >= NEIGHBOURS;
        let fate = match (chance >> 20) % 1000 {
            0..10 if is_attacked => Fate::Panic,
            10..20 if is_attacked => Fate::Fail,
            20 if place >= NEIGHBOURS => Fate::Sleep,
            21..24 if is_attacked => Fate::BurnMessage,
            24..27 if is_attacked => Fate::BurnReply,
            27..30 if is_attacked => Fate::Explode,
            30..33 if is_attacked => Fate::Resent,
            _ => Fate::Handle,
        };
        let verb = match (chance >> 40) % 128 {
            0 => Verb::Ask,
            1 => Verb::AskWithin(Duration::from_millis(2)),
            2 => Verb::TellWithin(Duration::from_millis(2)),
            3 => Verb::TryAsk,
            4 => Verb::AskRudely,
            5 if (chance >> 48).is_multiple_of(32) => Verb::AskAndForget,
            6..16 => Verb::TellBlocking,
            16 => Verb::AskLater,
            17..20 => Verb::TellLater,
            20..65 => Verb::TellPath,
            _ => Verb::TellHandle,
        };
        Draft { place, fate, verb }
    }

    /// The message that is falsified: one of the middle that nothing else happens to.
    fn planted(&self) -> Option<u64> {
        self.plant?;
        let fits = |number: &u64| {
            let draft = self.draft(*number);
            draft.place < NEIGHBOURS && !draft.verb.is_ask() && draft.fate == Fate::Handle
        };
        (self.messages / 2..self.messages).find(fits)
    }
}

/// One of the senders.
pub(crate) struct Sender {
    system: System,
    plan: Arc<Plan>,
    log: Arc<Log>,
    sent: Arc<Sent>,
    rank: u64,
    handles: HashMap<usize, Route<Job>>,
}

impl Sender {
    /// # Errors
    /// A place has no subsystem: before the attacker begins all have one.
    pub(crate) fn new(
        system: &System,
        plan: &Arc<Plan>,
        log: &Arc<Log>,
        sent: &Arc<Sent>,
        rank: u64,
    ) -> anyhow::Result<Self> {
        let mut handles = HashMap::new();
        for (place, here) in PLACES.iter().enumerate() {
            let pattern = format!("{}://job/{{id}}", here.name);
            handles.insert(place, system.route(pattern)?);
        }
        Ok(Sender {
            system: system.clone(),
            plan: plan.clone(),
            log: log.clone(),
            sent: sent.clone(),
            rank,
            handles,
        })
    }

    /// Sends its share, at its pace.
    pub(crate) async fn send(self) {
        let planted = self.plan.planted();
        let mut held = None;
        let begun = Instant::now();
        let rate = self.plan.rate as f64;
        for number in (self.rank..self.plan.messages).step_by(self.plan.senders as usize) {
            // All senders keep the same pace, each with its own numbers.
            while number as f64 > begun.elapsed().as_secs_f64() * rate {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if interrupt::is_wanted() {
                break;
            }
            let Draft { place, fate, verb } = self.plan.draft(number);
            let job = job(&self.log, number, self.rank as usize, place, fate);
            match self.plan.plant.filter(|_| planted == Some(number)) {
                None => self.deliver(job, place, verb).await,
                Some(Plant::Lose) => {
                    self.accepted(number, false);
                    job.slip.withdraw();
                }
                Some(Plant::Twice) => {
                    let copy = Job {
                        slip: job.slip.copy(),
                    };
                    self.deliver(job, place, verb).await;
                    let _ = self.handles[&place].at(copy.slip.id()).tell(copy).await;
                }
                Some(Plant::Reorder) => held = Some((job, place)),
            }
            // The one that was held back goes after the next one to the same place.
            if planted != Some(number)
                && let Some((job, _)) = held.take_if(|(_, later)| *later == place)
            {
                self.deliver(job, place, Verb::TellHandle).await;
            }
        }
        if let Some((job, place)) = held {
            self.deliver(job, place, Verb::TellHandle).await;
        }
    }

    fn accepted(&self, number: u64, is_ask: bool) {
        self.log.accept(number, is_ask);
        self.sent.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends a message until it is accepted: by its place, or by another one if that is not there.
    async fn deliver(&self, mut job: Job, mut place: usize, mut verb: Verb) {
        let (number, id) = (job.slip.number(), job.slip.id());
        loop {
            let back = match verb {
                Verb::TellPath => {
                    let path = format!("{}://job/{id}", PLACES[place].name);
                    self.system.tell(path, job).await.err()
                }
                Verb::TellBlocking if BLOCKING.contains(&PLACES[place].name) => {
                    let path = format!("{}://block/{id}", PLACES[place].name);
                    self.system.tell(path, job).await.err()
                }
                Verb::TellLater if PLACES[place].answers_later() => {
                    let path = format!("{}://later/{id}", PLACES[place].name);
                    self.system.tell(path, job).await.err()
                }
                Verb::AskLater if PLACES[place].answers_later() => {
                    let path = format!("{}://later/{id}", PLACES[place].name);
                    self.asked(self.system.ask(path, job).await, number)
                }
                Verb::TellWithin(limit) => {
                    let tell = self.handles[&place].at(id).tell_within(job, limit);
                    tell.await.err()
                }
                Verb::TryAsk => self.asked(self.handles[&place].at(id).try_ask(job).await, number),
                Verb::AskRudely => {
                    let ask = self.handles[&place].at(id).ask(job);
                    self.asked(RudelyWoken(Box::pin(ask)).await, number)
                }
                Verb::AskAndForget => {
                    // One that does not wait for room was accepted if it waits.
                    match begin_and_forget(self.handles[&place].at(id).try_ask(job)) {
                        Some(asked) => self.asked(asked, number),
                        None => {
                            self.sent.forgotten.fetch_add(1, Ordering::Relaxed);
                            None
                        }
                    }
                }
                Verb::TellHandle | Verb::TellBlocking | Verb::TellLater => {
                    self.handles[&place].at(id).tell(job).await.err()
                }
                Verb::Ask | Verb::AskLater => {
                    self.asked(self.handles[&place].at(id).ask(job).await, number)
                }
                Verb::AskWithin(deadline) => {
                    let ask = self.handles[&place].at(id).ask_within(job, deadline);
                    self.asked(ask.await, number)
                }
            };
            match back {
                None => return self.accepted(number, verb.is_ask()),
                Some(undelivered) => job = undelivered.into_message(),
            }
            self.sent.refused.fetch_add(1, Ordering::Relaxed);
            place = (place + 1) % PLACES.len();
            job.slip.send_on(place);
            if verb.is_ask() {
                verb = Verb::TellPath;
            }
        }
    }

    /// Looks at the end of an ask; the message if it was not accepted.
    fn asked(
        &self,
        answer: Result<Reply, mycelia::error::AskError<Job>>,
        number: u64,
    ) -> Option<Undelivered<Job>> {
        match answer {
            Ok(mut reply) => {
                reply.fuse.0 = false;
                let is_wrong = u64::from(reply.number != number);
                self.sent
                    .wrong_replies
                    .fetch_add(is_wrong, Ordering::Relaxed);
                None
            }
            Err(mycelia::error::AskError::Undelivered(undelivered)) => Some(undelivered),
            Err(_) => None,
        }
    }
}
