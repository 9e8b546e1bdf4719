//! What every part of a running system shares: no globals, one value per system.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Stamp};
use crate::dead_letters::{DeadLetter, DeadLetters, DeadReason};
use crate::directory::Directory;
use crate::envelope::Envelope;
use crate::extract::{SenderId, States, Surroundings};
use crate::local::Local;
use crate::mailbox::{Seat, SeatId};
use crate::pool::Pool;
use crate::route::{Patience, RouteMap};
use crate::sync::{AtomicU8, Ordering};
use crate::trace::TraceId;
use crate::waits::Waits;

/// The parts of a system that lie on a message's path.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) clock: Clock,
    /// How long an ask waits that does not say.
    pub(crate) patience: Patience,
    pub(crate) states: States,
    pub(crate) directory: Arc<Directory>,
    pub(crate) waits: Waits,
    pub(crate) dead_letters: DeadLetters,
    /// The keepers' executor: drives the timers of askers on other executors.
    pub(crate) keepers: tokio::runtime::Handle,
    phase: AtomicU8,
}

/// What is to be known of a message to make a dead letter of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter {
    pub(crate) route: u16,
    pub(crate) handler: u16,
    pub(crate) sender: SeatId,
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

/// How far a system has come in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Open = 0,
    /// Only its own handlers may still send.
    Draining = 1,
    Stopped = 2,
    /// Nobody holds the system any more: what still waits has nobody to be handled for.
    Abandoned = 3,
}

impl Shared {
    pub(crate) fn new(
        name: Arc<str>,
        pool: Arc<Pool>,
        clock: Clock,
        patience: Patience,
        states: States,
        dead_letters: DeadLetters,
        keepers: tokio::runtime::Handle,
    ) -> Self {
        Shared {
            name,
            pool,
            clock,
            patience,
            states,
            directory: Arc::new(Directory::new()),
            waits: Waits::default(),
            dead_letters,
            keepers,
            phase: AtomicU8::new(Phase::Open as u8),
        }
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

    /// True if nobody holds the system any more.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Abandoned as u8
    }

    /// True if nothing is accepted from the subsystem `sender`, or from outside if that is 0.
    #[inline]
    pub(crate) fn is_closed_to(&self, sender: SeatId) -> bool {
        match self.phase() {
            Phase::Open => false,
            Phase::Draining => sender == 0,
            Phase::Stopped | Phase::Abandoned => true,
        }
    }

    /// Goes on to `phase`; false if the system was there, or further, already.
    pub(crate) fn advance(&self, phase: Phase) -> bool {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8
    }

    /// Makes a dead letter of a message to `seat`.
    pub(crate) fn bury(&self, seat: &Seat, map: &RouteMap, letter: Letter, reason: DeadReason) {
        let (pattern, message) = map.name(letter.route, letter.handler);
        let sender = match letter.sender {
            0 => None,
            sender => self.directory.name_of(sender),
        };
        let age_ns = self.clock.between_ns(letter.sent, self.clock.now());
        self.dead_letters.add(DeadLetter {
            subsystem: seat.name.clone(),
            pattern,
            message,
            reason,
            sender,
            trace: letter.trace,
            age: Duration::from_nanos(age_ns),
        });
    }

    /// The subsystem whose handler runs on this thread now; 0 for none of this system.
    #[inline]
    pub(crate) fn current(&self) -> SeatId {
        Local::of(&self.pool).serving()
    }
}

impl Surroundings for Shared {
    fn name_of(&self, sender: SenderId) -> Option<Arc<str>> {
        self.directory.name_of(sender)
    }

    fn states(&self) -> &States {
        &self.states
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
