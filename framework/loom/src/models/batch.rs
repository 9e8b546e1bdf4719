//! The batch of a turn, and the order in which other threads see its steps: recorded, ended, free, woken.

use loom::thread::{self, JoinHandle};
use std::sync::Arc;

use super::rogue::{Call, Rogue};
use super::{Sleeper, in_full, up_to, with_loads_up_to};
use crate::base::clock::Due;
use crate::books::latency;
use crate::envelope::claim;
use crate::envelope::token::Token;
use crate::host::HostEnv;
use crate::mailbox::Mailbox;
use crate::runtime::shared::Shared;
use crate::send::Failed;
use crate::send::room::{Attempt, until_room};
use crate::words::error::Room;

/// A host that holds all envelopes, and the senders that wait for them.
struct World {
    env: Arc<HostEnv<()>>,
    shared: Arc<Shared>,
}

/// A look for an envelope that the host has freed.
struct Looking<'w>(&'w World);

impl Attempt<()> for Looking<'_> {
    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    fn due(&mut self) -> Option<Due> {
        Some(Due::NEVER)
    }

    /// Keeps forever the envelope that it finds.
    fn attempt(&mut self, _message: &mut Option<()>) -> Result<(), Failed> {
        let env = &self.0.env;
        let full = || Failed::Full(Room::Pool, env.mounted.mailbox.clone());
        env.look().ok_or_else(full).map(Token::surrender)?;
        Ok(())
    }
}

impl World {
    fn with(envelopes: usize, are_asks: bool) -> Arc<Self> {
        let shared = Shared::new();
        let env = HostEnv::with(envelopes, are_asks, &shared);
        Arc::new(World { env, shared })
    }

    /// Waits for an envelope, and keeps it.
    fn sender(self: &Arc<Self>) -> JoinHandle<()> {
        let world = self.clone();
        thread::spawn(move || {
            let sent = Sleeper::new().run(until_room((), Looking(&world)));
            sent.unwrap();
        })
    }

    /// Ends the message of the first envelope, in the thread's only turn.
    fn host(self: &Arc<Self>) -> JoinHandle<()> {
        let world = self.clone();
        thread::spawn(move || {
            let thread = world.env.thread();
            world.env.turn(&thread, &[0], false, false);
        })
    }

    fn mailbox(&self) -> &Mailbox {
        &self.env.mounted.mailbox
    }

    /// How many messages are in the book, and in the totals.
    fn recorded(&self) -> (u64, u64) {
        let mounted = &self.env.mounted;
        let recorded = latency::read(std::iter::once((&mounted.book, 0)));
        (
            recorded.map_or(0, |(latency, _)| latency.count),
            mounted.totals.read().0.count,
        )
    }
}

#[test]
fn a_sender_that_waits_is_woken_for_the_envelope_that_a_turn_sets_free() {
    in_full(|| {
        let world = World::with(1, false);
        let sender = world.sender();
        let thread = world.env.thread();
        world.env.turn(&thread, &[0], false, false);
        sender.join().unwrap();
    });
}

#[test]
fn what_turns_that_go_on_owe_is_paid_by_the_last_of_them() {
    up_to(3, || {
        let world = World::with(1, false);
        let sender = world.sender();
        let thread = world.env.thread();
        // The first turn need not wake a sender: there will be another turn.
        world.env.turn(&thread, &[0], false, true);
        world.env.turn(&thread, &[], true, false);
        assert_eq!(thread.going_on.get(), 0);
        assert_eq!(thread.owed.get(), 0);
        sender.join().unwrap();
    });
}

#[test]
fn what_another_host_of_the_thread_owes_is_paid_when_the_last_one_rests() {
    up_to(3, || {
        let world = World::with(1, false);
        let sender = world.sender();
        let thread = world.env.thread();
        // One host goes on, so the other leaves the wake to it.
        world.env.turn(&thread, &[], false, true);
        world.env.turn(&thread, &[0], false, false);
        world.env.turn(&thread, &[], true, false);
        sender.join().unwrap();
    });
}

#[test]
fn who_gets_an_envelope_finds_that_its_last_message_has_ended() {
    with_loads_up_to(3, || {
        let world = World::with(1, false);
        let host = world.host();
        if world.env.look().is_some() {
            assert_eq!(world.mailbox().endings.finished(), 1);
        }
        host.join().unwrap();
    });
}

#[test]
fn who_finds_that_a_message_has_ended_finds_it_in_the_book() {
    with_loads_up_to(1, || {
        let world = World::with(1, false);
        let host = world.host();
        if world.mailbox().endings.finished() > 0 {
            assert_eq!(world.recorded(), (1, 1));
        }
        host.join().unwrap();
    });
}

#[test]
fn an_asker_who_has_its_reply_finds_its_message_ended_and_in_the_book() {
    up_to(2, || {
        let world = World::with(1, true);
        let host = world.host();
        let slot = world.env.shared.pool.slab.reply_slot(0);
        let mut claim = Some(claim(0));
        let _token = Sleeper::new().block_on(|waker| slot.poll(waker, &mut claim));
        assert_eq!(world.mailbox().endings.finished(), 1);
        assert_eq!(world.recorded(), (1, 1));
        host.join().unwrap();
        assert!(world.env.look().is_none(), "the envelope is the asker's");
    });
}

#[test]
fn the_envelope_of_an_asker_who_has_gone_comes_back_to_who_waits_for_one() {
    up_to(3, || {
        let world = World::with(1, true);
        let sender = world.sender();
        let slot = world.env.shared.pool.slab.reply_slot(0);
        assert!(slot.abandon(claim(0)).is_none());
        let thread = world.env.thread();
        world.env.turn(&thread, &[0], false, false);
        sender.join().unwrap();
    });
}

#[test]
fn an_asker_whose_waker_panics_hinders_no_other_message_of_the_turn() {
    up_to(2, || {
        let world = World::with(2, true);
        let slab = &world.env.shared.pool.slab;
        let asker = Rogue::throws_once(Call::Wake);
        let mut claim_of_first = Some(claim(0));
        let slot = slab.reply_slot(0);
        let looked = asker.poll(|waker| slot.poll(waker, &mut claim_of_first));
        assert!(looked.is_some_and(|token| token.is_none()));
        // The other asker has gone, so its envelope is free after the turn.
        assert!(slab.reply_slot(1).abandon(claim(1)).is_none());
        let sender = world.sender();
        let host = {
            let world = world.clone();
            thread::spawn(move || {
                let thread = world.env.thread();
                world.env.turn(&thread, &[0, 1], false, false);
                assert_eq!((thread.owed.get(), thread.going_on.get()), (0, 0));
                // The keepers' part.
                world.env.shared.pool.deferred.make();
            })
        };
        sender.join().unwrap();
        let _token = asker.block_on(|waker| slot.poll(waker, &mut claim_of_first));
        host.join().unwrap();
        assert!(claim_of_first.is_none() && !asker.is_held());
        assert_eq!(world.mailbox().endings.finished(), 2);
        assert_eq!(world.recorded(), (2, 2));
        assert!(
            world.env.look().is_none(),
            "one is the asker's, one the sender's"
        );
    });
}
