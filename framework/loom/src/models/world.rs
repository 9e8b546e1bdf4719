//! A mailbox and its host, for the models of the mailbox and of the room. Host and senders take the steps of
//! `host/backlog.rs`, `host/turn.rs`, `route/pack.rs` and `send/overflow.rs`; senders wait in the shipped future
//! of `send/room.rs`.

use std::sync::Arc;
use std::task::Waker;

use loom::thread::{self, JoinHandle};

use super::{Kept, Slab, Sleeper};
use crate::base::clock::Due;
use crate::envelope::mint;
use crate::envelope::token::{Chain, Token};
use crate::mailbox::inbox::{Inbox, Refusal};
use crate::mailbox::lanes::{Evicted, Look};
use crate::mailbox::{Limits, Mailbox};
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::room::{Attempt, until_room};
use crate::thread::Local;
use crate::words::error::{Room, SendError};
use crate::words::ledger::{Ending, Tally};
use crate::words::overflow::Overflow;
use crate::words::priority::Priority::{self, Normal};

pub(super) const TABLE: u32 = 1;

pub(super) struct World {
    pub(super) slab: Slab,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) shared: Arc<Shared>,
}

/// The result of sending a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Accepted,
    /// Dropped by its sender: there was no older message that could be dropped.
    TurnedAway,
    Closed,
}

impl World {
    /// Makes a world with an open mailbox.
    pub(super) fn with(envelopes: usize, capacity: u32, overflow: Overflow) -> Arc<Self> {
        let mailbox = Arc::new(Mailbox::new(1, "mailbox".into(), Arc::default()));
        mailbox.open(TABLE, Limits { capacity, overflow });
        Arc::new(World {
            slab: Slab::new(envelopes),
            mailbox,
            shared: Shared::new(),
        })
    }

    pub(super) fn unbounded(envelopes: usize) -> Arc<Self> {
        World::with(envelopes, u32::MAX, Overflow::Wait)
    }

    /// Packs an envelope and pushes it: `Packer::post`.
    pub(super) fn post(&self, envelope: u32, priority: Priority) -> Result<(), Refusal> {
        let mailbox = &self.mailbox;
        let capacity = mailbox.capacity();
        if mailbox.is_full(capacity) {
            return Err(Refusal::Full);
        }
        let token = mint(envelope);
        self.slab.put(&token, u64::from(envelope) + 100);
        match mailbox.push(&self.slab.links, token, priority, capacity) {
            Ok(is_asleep) => {
                if is_asleep {
                    mailbox.ring(&Local::new());
                }
                Ok(())
            }
            Err((token, refusal)) => {
                // It came back, so this thread may touch it.
                self.slab.put(&token, 0);
                Err(refusal)
            }
        }
    }

    /// Sends, and waits for room if necessary. Adds the envelopes that it dropped to `evicted`.
    pub(super) fn send(&self, envelope: u32, priority: Priority, evicted: &mut Vec<u32>) -> Sent {
        let mut sent = Sent::Accepted;
        let attempt = Sends {
            world: self,
            priority,
            evicted,
            sent: &mut sent,
        };
        match Sleeper::new().run(until_room(envelope, attempt)) {
            Ok(()) => sent,
            Err(undelivered) => {
                assert_eq!(undelivered.reason, SendError::Closed);
                assert_eq!(undelivered.message, envelope);
                Sent::Closed
            }
        }
    }

    /// Begins to send, and leaves.
    pub(super) fn begin_and_leave(&self, envelope: u32) {
        let attempt = Sends {
            world: self,
            priority: Normal,
            evicted: &mut Vec::new(),
            sent: &mut Sent::Accepted,
        };
        let _sent = Kept::new(until_room(envelope, attempt)).poll_with(&Sleeper::new().waker());
    }

    /// Starts a thread that sends these. It returns which were accepted, and which it dropped.
    pub(super) fn sender(
        self: &Arc<Self>,
        messages: impl IntoIterator<Item = (u32, Priority)> + 'static,
    ) -> JoinHandle<(Vec<u32>, Vec<u32>)> {
        let world = self.clone();
        thread::spawn(move || {
            let (mut accepted, mut evicted) = (Vec::new(), Vec::new());
            for (envelope, priority) in messages {
                if world.send(envelope, priority, &mut evicted) == Sent::Accepted {
                    accepted.push(envelope);
                }
            }
            (accepted, evicted)
        })
    }

    /// Asserts that every accepted message has ended.
    pub(super) fn assert_quiet(&self, accepted: usize) {
        let ledger = self.mailbox.ledger();
        assert!(ledger.closes() && ledger.is_quiet(), "{ledger:?}");
        assert_eq!(ledger.sent, accepted as u64);
    }
}

/// A send with its overflow policy; its message is the number of its envelope.
struct Sends<'w> {
    world: &'w World,
    priority: Priority,
    evicted: &'w mut Vec<u32>,
    /// The result.
    sent: &'w mut Sent,
}

impl Attempt<u32> for Sends<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.world.shared
    }

    fn due(&mut self) -> Option<Due> {
        Some(Due::NEVER)
    }

    fn attempt(&mut self, message: &mut Option<u32>) -> Result<(), Failed> {
        let World { mailbox, slab, .. } = self.world;
        let envelope = message.expect("what is refused stays with the sender");
        let full = || Failed::Full(Room::Mailbox, mailbox.clone());
        let closed = || Failed::refused(SendError::Closed);
        loop {
            if self.world.post(envelope, self.priority).is_ok() {
                *self.sent = Sent::Accepted;
                return Ok(());
            }
            if mailbox.inbox.is_closed() {
                return Err(closed());
            }
            if mailbox.overflow() != Overflow::DropOldest {
                return Err(full());
            }
            // It may see the policy before the lanes. The thread that sets the policy then wakes it again.
            let lanes = mailbox.lanes().ok_or_else(full)?;
            match lanes.evict(&mailbox.inbox, &slab.links) {
                Evicted::Message(token) => {
                    assert_eq!(slab.get(&token), u64::from(token.index()) + 100);
                    slab.put(&token, 0);
                    self.evicted.push(token.surrender());
                }
                Evicted::NotYet => return Err(full()),
                Evicted::Nothing if !mailbox.is_full(mailbox.capacity()) => {}
                Evicted::Nothing if mailbox.turn_away() => {
                    *self.sent = Sent::TurnedAway;
                    return Ok(());
                }
                Evicted::Nothing => return Err(closed()),
            }
        }
    }
}

/// A host with the messages that it has taken out of the mailbox.
pub(super) struct Host<'w> {
    world: &'w World,
    backlog: Chain,
    pub(super) ticket: u64,
    is_ending: bool,
    tally: Tally,
    /// The envelopes of the messages that it began, in order.
    pub(super) begun: Vec<u32>,
}

impl<'w> Host<'w> {
    /// Makes the first host of this mailbox.
    pub(super) fn of(world: &'w World) -> Self {
        Host {
            world,
            backlog: Chain::new(),
            ticket: 0,
            is_ending: false,
            tally: Tally::default(),
            begun: Vec::new(),
        }
    }

    /// Takes the next message, as the shipped host does.
    pub(super) fn next(&mut self) -> Option<Token> {
        let World { slab, mailbox, .. } = self.world;
        let links = &slab.links;
        if let Some(lanes) = mailbox.lanes() {
            let look = match self.is_ending {
                false => Look::Awake,
                true => Look::Closing,
            };
            let looked = lanes.next(
                &mailbox.inbox,
                links,
                look,
                (&mut self.backlog, self.ticket),
            );
            if looked.has_opened {
                mailbox.recall();
            }
            assert_eq!(looked.off, 0, "the tickets don't count the tokens");
            return looked.next;
        }
        if let Some(token) = self.backlog.pop_front(links) {
            return Some(token);
        }
        let taken = match self.is_ending {
            false => mailbox.inbox.take(links, false),
            true => mailbox.close(links),
        }?;
        let accepted = Inbox::between(self.ticket, taken.ticket);
        assert_eq!(accepted, u64::from(taken.chain.len()));
        self.ticket = taken.ticket;
        self.backlog = taken.chain;
        self.backlog.pop_front(links)
    }

    /// Begins the next message, and keeps it in its handler.
    pub(super) fn begin(&mut self) -> bool {
        let Some(token) = self.next() else {
            return false;
        };
        let slab = &self.world.slab;
        assert_eq!(slab.get(&token), u64::from(token.index()) + 100);
        slab.put(&token, 0);
        self.begun.push(token.surrender());
        true
    }

    /// Ends a message that it began.
    pub(super) fn finish(&mut self) {
        self.tally.add(Ending::Handled);
        let ended = self.world.mailbox.endings.enter(&mut self.tally);
        self.world.mailbox.make_room(ended as usize);
    }

    /// Handles messages until `is_done`, and sleeps in between. Its waker stays with the mailbox.
    pub(super) fn serve_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        let sleeper = Sleeper::new();
        let mailbox = &self.world.mailbox;
        mailbox.leave_waker(Some(sleeper.waker()));
        sleeper.block_on(|_: &Waker| {
            loop {
                while self.begin() {
                    self.finish();
                }
                if is_done(self) {
                    return Some(());
                }
                if mailbox.sleep() {
                    return None;
                }
            }
        });
        mailbox.leave_waker(None);
    }

    /// Ends every accepted message, as a host does at its end.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
        if let Some(taken) = self.world.mailbox.close(&self.world.slab.links) {
            self.ticket = taken.ticket;
            let links = &self.world.slab.links;
            self.backlog.append(links, taken.chain);
        }
        while self.begin() {
            self.finish();
        }
        self.world.mailbox.recall();
    }
}
