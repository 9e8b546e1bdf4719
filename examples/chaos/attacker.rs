//! The attacker: kills, stops, unmounts and mounts, at random, for as long as messages are sent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mycelia::error::UnmountError;
use mycelia::observe::{Change, EndReason, Watch};
use mycelia::prelude::*;

use crate::log::{Fate, Log};
use crate::scene::{ATTACKER, BLOCKING, Job, NEIGHBOURS, PLACES, World, job, mount};
use examples_lib::chance::Die;

/// Between two looks at who is missing, in attacks.
const ROUND: u64 = 10;

/// What the attacker did, and what came of it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Attacks {
    /// Messages that had their receiver panic.
    pub(crate) kills: u64,
    /// Messages that had their receiver stop itself.
    pub(crate) stops: u64,
    pub(crate) unmounts: u64,
    /// Sends that unwound to the attacker.
    pub(crate) unwound: u64,
    pub(crate) mounts: u64,
    /// Parents that failed in the place of a child, as far as was seen.
    pub(crate) escalations: u64,
}

/// The attacker's messages are numbered too, from `first` on.
pub(crate) struct Attacker {
    pub(crate) system: System,
    pub(crate) world: Arc<World>,
    pub(crate) log: Arc<Log>,
    pub(crate) die: Die,
    pub(crate) first: u64,
    pub(crate) most: u64,
}

impl Attacker {
    /// Attacks until it is told to end; then makes good what is broken.
    pub(crate) async fn attack(mut self, ends: Arc<AtomicBool>) -> Attacks {
        let mut attacks = Attacks::default();
        let mut watch = self.system.watch_all();
        let mut count = 0;
        while !ends.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1 + self.die.throw(3))).await;
            match self.die.throw(9) {
                8 => attacks.unwound += self.send_what_unwinds(),
                0..4 => attacks.kills += self.send(Fate::Panic),
                4..6 => attacks.stops += self.send(Fate::Stop),
                _ => self.remount(&mut attacks).await,
            }
            count += 1;
            if count % ROUND == 0 {
                self.repair(&mut attacks).await;
                attacks.escalations += escalations(&mut watch);
            }
        }
        self.repair(&mut attacks).await;
        attacks.escalations += escalations(&mut watch);
        attacks
    }

    fn victim(&mut self) -> usize {
        NEIGHBOURS + self.die.throw((PLACES.len() - NEIGHBOURS) as u64) as usize
    }

    /// Sends a message that its receiver does not survive; 1 if it was accepted.
    fn send(&mut self, fate: Fate) -> u64 {
        let place = self.victim();
        if self.most == 0 {
            return 0;
        }
        let job = job(&self.log, self.first, ATTACKER, place, fate);
        let path = format!("{}://job/{}", PLACES[place].name, job.slip.id());
        match self.system.try_tell(path, job) {
            Ok(()) => {
                self.log.accept(self.first, false);
                self.first += 1;
                self.most -= 1;
                1
            }
            Err(refused) => {
                refused.into_message().slip.withdraw();
                0
            }
        }
    }

    /// Sends by a path whose capture panics; 1 if that unwound, as it should.
    fn send_what_unwinds(&mut self) -> u64 {
        let job = job(&self.log, 0, ATTACKER, NEIGHBOURS, Fate::Handle);
        let job = Job {
            slip: job.slip.void(),
        };
        let send = || self.system.try_tell("guest://fussy/word", job);
        match catch_unwind(AssertUnwindSafe(send)) {
            Ok(_) => 0,
            Err(_) => 1,
        }
    }

    /// Unmounts a subsystem with its children, and after a moment mounts it again.
    async fn remount(&mut self, attacks: &mut Attacks) {
        let place = match self.die.throw(2) {
            0 => self.victim(),
            _ => PLACES
                .iter()
                .position(|place| place.name == "guest")
                .unwrap_or(NEIGHBOURS),
        };
        let name = PLACES[place].name;
        let in_a_hurry = !BLOCKING.contains(&name) && self.die.throw(2) == 0;
        let unmounted = match in_a_hurry {
            true => {
                let within = Duration::from_millis(self.die.throw(4));
                self.system.unmount_within(name, within).await
            }
            false => self.system.unmount(name).await,
        };
        if matches!(unmounted, Ok(_) | Err(UnmountError::HooksFailed { .. })) {
            attacks.unmounts += 1;
        }
        tokio::time::sleep(Duration::from_millis(self.die.throw(3))).await;
        // Its parent may have mounted it meanwhile, or be gone itself.
        if mount(&self.system, &self.world, place).await.is_ok() {
            attacks.mounts += 1;
        }
    }

    /// Mounts whatever has ended for good.
    async fn repair(&mut self, attacks: &mut Attacks) {
        let now = self.system.snapshot();
        for (place, here) in PLACES.iter().enumerate() {
            let found = now.subsystem(here.name);
            if found.is_some_and(|one| !one.is_closed) {
                continue;
            }
            if found.is_some() && self.system.unmount(here.name).await.is_ok() {
                attacks.unmounts += 1;
            }
            if mount(&self.system, &self.world, place).await.is_ok() {
                attacks.mounts += 1;
            }
        }
    }
}

/// The ends among the events that led to a parent's failure.
fn escalations(watch: &mut Watch) -> u64 {
    let events = std::iter::from_fn(|| watch.try_next());
    let is_one = |change: &Change| matches!(change, Change::Ended(EndReason::Escalated(_)));
    events.filter(|event| is_one(&event.change)).count() as u64
}
