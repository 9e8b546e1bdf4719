//! Senders that wait for room, and what they find: a place, other room that is missing, a refusal, or that there
//! will never be room.

use loom::sync::atomic::{AtomicU8, Ordering};
use loom::thread::{self, JoinHandle};
use std::sync::Arc;

use super::world::{Host, Sent, World};
use super::{Slab, Sleeper, in_full, up_to};
use crate::base::clock::Due;
use crate::envelope::mint;
use crate::envelope::pool::stack::Stack;
use crate::envelope::token::Token;
use crate::mailbox::{Limits, Mailbox, MailboxId};
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::room::{Attempt, until_room};
use crate::words::error::{Room, SendError};
use crate::words::overflow::Overflow;
use crate::words::priority::Priority::Normal;

#[test]
fn a_sender_waits_for_room_in_a_mailbox_until_there_is_some() {
    up_to(3, || {
        let world = World::with(2, 1, Overflow::Wait);
        let sender = world.sender([(0, Normal), (1, Normal)]);
        let mut host = Host::of(&world);
        while host.begun.len() < 2 {
            match host.begin() {
                true => host.finish(),
                false => thread::yield_now(),
            }
        }
        assert_eq!(sender.join().unwrap().0, [0, 1]);
        world.assert_quiet(2);
    });
}

#[test]
fn those_who_wait_for_room_in_a_mailbox_learn_that_it_closes() {
    up_to(3, || {
        let world = World::with(2, 1, Overflow::Wait);
        world.post(0, Normal).unwrap();
        let sender = {
            let world = world.clone();
            thread::spawn(move || world.send(1, Normal, &mut Vec::new()))
        };
        let mut host = Host::of(&world);
        host.end();
        let accepted = match sender.join().unwrap() {
            Sent::Closed => 1,
            _ => 2,
        };
        assert_eq!(host.begun.len(), accepted);
        world.assert_quiet(accepted);
    });
}

#[test]
fn a_sender_that_is_dropped_while_it_waits_for_a_place_leaves_it_to_the_next_one() {
    up_to(2, || {
        let world = World::with(3, 1, Overflow::Wait);
        world.post(0, Normal).unwrap();
        let leaver = {
            let world = world.clone();
            thread::spawn(move || world.begin_and_leave(1))
        };
        let stayer = world.sender([(2, Normal)]);
        let mut host = Host::of(&world);
        assert!(host.begin());
        host.finish();
        leaver.join().unwrap();
        // The sender may have sent before it left.
        if host.begin() {
            host.finish();
        }
        assert_eq!(stayer.join().unwrap().0, [2]);
    });
}

/// A pool and two subsystems. The first takes only one message.
struct System {
    slab: Slab,
    free: Stack,
    mailboxes: [Arc<Mailbox>; 2],
    shared: Arc<Shared>,
    /// 1 once no path leads to the first any more. Senders that wait for an envelope are not notified of it.
    unmounted: AtomicU8,
}

impl System {
    /// Makes a system with no envelope free.
    fn with(envelopes: usize) -> Arc<Self> {
        let mailboxes = [(1, 1), (2, u32::MAX)].map(|(id, capacity)| {
            let mailbox = Arc::new(Mailbox::new(id, "mailbox".into(), Arc::default()));
            let overflow = Overflow::Wait;
            mailbox.open(1, Limits { capacity, overflow });
            mailbox
        });
        Arc::new(System {
            slab: Slab::new(envelopes),
            free: Stack::new(),
            mailboxes,
            shared: Shared::new(),
            unmounted: AtomicU8::new(0),
        })
    }

    /// `Pool::release_one`.
    fn release(&self, token: Token) {
        self.slab.push(&self.free, token);
        let pool = &self.shared.pool;
        if pool.room.any() {
            pool.wake_next();
        }
    }

    /// Sends to a subsystem from the handler of `me`, or from outside.
    fn send(&self, to: usize, me: MailboxId) -> Result<(), SendError> {
        let attempt = Sends {
            system: self,
            to,
            shared: self.shared.of(me),
        };
        let sent = Sleeper::new().run(until_room((), attempt));
        sent.map_err(|undelivered| undelivered.reason)
    }

    fn sender(self: &Arc<Self>, to: usize, me: MailboxId) -> JoinHandle<Result<(), SendError>> {
        let system = self.clone();
        thread::spawn(move || system.send(to, me))
    }

    /// The same. An accepted message is handled at once, so that the next sender gets its envelope.
    fn served(self: &Arc<Self>, to: usize, me: MailboxId) -> JoinHandle<Result<(), SendError>> {
        let system = self.clone();
        thread::spawn(move || system.send(to, me).inspect(|()| system.handle(to)))
    }

    /// Handles the messages that wait for a subsystem.
    fn handle(&self, at: usize) {
        let mailbox = &self.mailboxes[at];
        let Some(mut taken) = mailbox.inbox.take(&self.slab.links, false) else {
            return;
        };
        while let Some(token) = taken.chain.pop_front(&self.slab.links) {
            mailbox.endings.enter(&mut one_handled());
            mailbox.make_room(1);
            self.release(token);
        }
    }
}

fn one_handled() -> crate::words::ledger::Tally {
    let mut tally = crate::words::ledger::Tally::default();
    tally.add(crate::words::ledger::Ending::Handled);
    tally
}

/// A send that needs an envelope and a place: `Packer::post`, and how `Target` uses it.
struct Sends<'s> {
    system: &'s System,
    to: usize,
    shared: Arc<Shared>,
}

impl Sends<'_> {
    fn no_room(&self, room: Room) -> Failed {
        let mailbox = &self.system.mailboxes[self.to];
        match mailbox.inbox.is_closed() {
            true => Failed::refused(SendError::Closed),
            false => Failed::Full(room, mailbox.clone()),
        }
    }
}

impl Attempt<()> for Sends<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn due(&mut self) -> Option<Due> {
        Some(Due::NEVER)
    }

    fn attempt(&mut self, _message: &mut Option<()>) -> Result<(), Failed> {
        let System { slab, free, .. } = self.system;
        if self.to == 0 && self.system.unmounted.load(Ordering::Acquire) != 0 {
            return Err(Failed::refused(SendError::Closed));
        }
        let mailbox = &self.system.mailboxes[self.to];
        let capacity = mailbox.capacity();
        if mailbox.is_full(capacity) {
            return Err(self.no_room(Room::Mailbox));
        }
        let Some(token) = free.pop(&slab.links) else {
            return Err(self.no_room(Room::Pool));
        };
        slab.touch(&token);
        match mailbox.push(&slab.links, token, Normal, capacity) {
            Ok(_) => Ok(()),
            Err((token, _)) => {
                self.system.release(token);
                Err(self.no_room(Room::Mailbox))
            }
        }
    }
}

#[test]
fn one_who_is_woken_for_an_envelope_and_then_lacks_a_place_lets_the_next_one_look() {
    up_to(2, || {
        let system = System::with(2);
        let senders = [system.sender(0, 0), system.sender(1, 0)];
        // While they wait for an envelope, another sender fills the mailbox that the first one sends to.
        let first = &system.mailboxes[0];
        let pushed = first.push(&system.slab.links, mint(1), Normal, 1);
        assert!(pushed.is_ok());
        system.release(mint(0));
        let [to_first, to_second] = senders;
        assert_eq!(to_second.join().unwrap(), Ok(()));
        system.handle(0);
        assert_eq!(to_first.join().unwrap(), Ok(()));
    });
}

#[test]
fn one_who_is_woken_for_an_envelope_and_then_refused_lets_the_next_one_look() {
    up_to(3, || {
        let system = System::with(1);
        let (to_first, to_second) = (system.served(0, 0), system.served(1, 0));
        system.unmounted.store(1, Ordering::Release);
        system.release(mint(0));
        assert_eq!(to_second.join().unwrap(), Ok(()));
        let told = to_first.join().unwrap();
        assert!(matches!(told, Ok(()) | Err(SendError::Closed)));
    });
}

#[test]
fn a_handler_is_told_that_there_will_never_be_an_envelope_for_it() {
    in_full(|| {
        let system = System::with(1);
        let handler = system.sender(1, 7);
        let waits = system.shared.waits.clone();
        let hopeless = loop {
            // The handler's own subsystem holds the only envelope.
            match waits.deadlocked(Some(1), |_| 1, None) {
                Some(hopeless) => break hopeless,
                None => thread::yield_now(),
            }
        };
        hopeless.declare();
        let told = handler.join().unwrap().unwrap_err();
        assert!(matches!(told, SendError::WaitCycle { .. }));
        assert!(!waits.any_undecided(), "it still counts as one who waits");
    });
}

#[test]
fn a_handler_that_is_told_to_give_up_when_an_envelope_comes_leaves_it_to_others() {
    up_to(2, || {
        let system = System::with(1);
        let (handler, other) = (system.served(1, 7), system.served(1, 0));
        let waits = &system.shared.waits;
        let found = waits.deadlocked(Some(1), |_| 1, None);
        if let Some(hopeless) = &found {
            hopeless.declare();
        }
        system.release(mint(0));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert!(handler.join().unwrap().is_ok() || found.is_some());
        assert!(!waits.any_undecided(), "it still counts as one who waits");
    });
}
