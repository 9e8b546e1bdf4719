//! The handover of a reply: host against asker, and the ask that comes after.

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread::{self, JoinHandle};
use std::sync::Arc;
use std::task::Waker;

use super::{Slab, Sleeper, in_full, up_to};
use crate::envelope::reply::ReplySlot;
use crate::envelope::token::Token;
use crate::envelope::{claim, mint};

/// One envelope, number 0, with its reply slot, which is used again and again.
struct Ask {
    slab: Slab,
    slot: ReplySlot,
}

impl Ask {
    fn new() -> Arc<Self> {
        Arc::new(Ask {
            slab: Slab::new(1),
            slot: ReplySlot::new(),
        })
    }

    /// Sends the envelope as an asker. The host writes `reply` and hands it over. The thread returns whether the
    /// asker has it; if not, the host has touched it again.
    fn send(self: &Arc<Self>, token: Token, reply: u64) -> JoinHandle<bool> {
        self.slot.reset(0, 0);
        let ask = self.clone();
        // The spawning replaces the way through the inbox.
        thread::spawn(move || ask.answer(token, reply).is_none())
    }

    /// The host's part. Returns the token if the asker has gone.
    fn answer(&self, token: Token, reply: u64) -> Option<Token> {
        self.slab.put(&token, reply);
        let kept = hand_over(&self.slot, token);
        kept.inspect(|token| self.slab.touch(token))
    }

    /// Looks for the reply, as an asker that has its claim.
    fn poll(&self, waker: &Waker) -> Option<Token> {
        self.slot.poll(waker, &mut Some(claim(0)))
    }

    /// Waits for the reply.
    fn receive(&self, asker: &Sleeper) -> (u64, Token) {
        let token = asker.block_on(|waker| self.poll(waker));
        let reply = self.slab.get(&token);
        self.slab.touch(&token);
        (reply, token)
    }

    /// Gives up. Returns the token if the reply had come before.
    fn abandon(&self) -> Option<Token> {
        let token = self.slot.abandon(claim(0));
        token.inspect(|token| self.slab.touch(token))
    }
}

/// The host's last step. Returns its token if the asker has gone.
fn hand_over(slot: &ReplySlot, token: Token) -> Option<Token> {
    match slot.reply(token) {
        Ok(asker) => {
            if let Some(asker) = asker {
                asker.wake();
            }
            None
        }
        Err(token) => Some(token),
    }
}

#[test]
fn an_asker_is_always_woken_and_sees_the_reply() {
    in_full(|| {
        let ask = Ask::new();
        let asker = Sleeper::new();
        let host = ask.send(mint(0), 7);
        let (reply, _token) = ask.receive(&asker);
        assert_eq!(reply, 7);
        assert!(host.join().unwrap());
        assert!(!asker.is_held(), "the slot keeps the asker's task alive");
    });
}

#[test]
fn of_host_and_asker_who_goes_away_exactly_one_has_the_envelope() {
    in_full(|| {
        let ask = Ask::new();
        let host = ask.send(mint(0), 7);
        let asker_has_it = ask.abandon().is_some();
        assert_eq!(host.join().unwrap(), asker_has_it);
    });
}

#[test]
fn who_keeps_the_envelope_sees_what_the_other_did_before_it_went() {
    in_full(|| {
        // A second cell represents what an asker does to the slot: its waker comes and goes.
        let ask = Arc::new((Slab::new(2), ReplySlot::new()));
        let note = mint(1);
        let host = {
            let ask = ask.clone();
            thread::spawn(move || {
                let (slab, slot) = &*ask;
                if hand_over(slot, mint(0)).is_some() {
                    assert_eq!(slab.get(&mint(1)), 7);
                }
            })
        };
        let (slab, slot) = &*ask;
        slab.put(&note, 7);
        let _replied = slot.abandon(claim(0));
        host.join().unwrap();
    });
}

#[test]
fn an_asker_who_looked_and_then_goes_away_leaves_nothing_behind() {
    in_full(|| {
        let ask = Ask::new();
        let asker = Sleeper::new();
        let host = ask.send(mint(0), 7);
        let token = ask.poll(&asker.waker()).or_else(|| ask.abandon());
        if let Some(token) = &token {
            ask.slab.touch(token);
        }
        assert_eq!(host.join().unwrap(), token.is_some());
        assert!(!asker.is_held(), "the slot keeps the asker's task alive");
    });
}

#[test]
fn the_next_ask_is_not_broken_by_the_wake_up_of_the_last() {
    up_to(4, || {
        let ask = Ask::new();
        let first = ask.send(mint(0), 7);
        let (reply, token) = ask.receive(&Sleeper::new());
        assert_eq!(reply, 7);
        // The first host may still be about to wake the asker.
        let asker = Sleeper::new();
        let second = ask.send(token, 20);
        let (reply, _token) = ask.receive(&asker);
        assert_eq!(reply, 20);
        assert!(first.join().unwrap());
        assert!(second.join().unwrap());
        assert!(!asker.is_held(), "the slot keeps the asker's task alive");
    });
}

#[test]
fn the_next_ask_is_not_broken_by_an_asker_who_went_away() {
    up_to(4, || {
        let ask = Ask::new();
        ask.slot.reset(0, 0);
        // If the host keeps the envelope, it asks with it next.
        let host = {
            let ask = ask.clone();
            thread::spawn(move || {
                if let Some(token) = ask.answer(mint(0), 7) {
                    ask_again(&ask, token);
                    return false;
                }
                true
            })
        };
        let gone = Sleeper::new();
        let token = ask.poll(&gone.waker()).or_else(|| ask.abandon());
        let asker_had_it = token.is_some();
        if let Some(token) = token {
            ask_again(&ask, token);
        }
        assert_eq!(host.join().unwrap(), asker_had_it);
        assert!(!gone.is_held(), "the slot keeps the asker's task alive");
    });
}

fn ask_again(ask: &Arc<Ask>, token: Token) {
    let asker = Sleeper::new();
    let host = ask.send(token, 20);
    let (reply, _token) = ask.receive(&asker);
    assert_eq!(reply, 20);
    assert!(host.join().unwrap());
}

#[test]
fn an_asker_who_looks_again_with_another_waker_is_woken_by_that_one() {
    in_full(|| {
        let ask = Ask::new();
        let (before, asker) = (Sleeper::new(), Sleeper::new());
        let host = ask.send(mint(0), 7);
        let (reply, _token) = match ask.poll(&before.waker()) {
            Some(token) => (ask.slab.get(&token), token),
            None => ask.receive(&asker),
        };
        assert_eq!(reply, 7);
        assert!(host.join().unwrap());
        assert!(!before.is_held() && !asker.is_held());
    });
}

fn remind(ask: &Ask) {
    if let Some(asker) = ask.slot.remind() {
        asker.wake();
    }
}

/// The supervisor: reminds an asker whose deadline has passed, until the model is over.
fn remind_until(ask: &Arc<Ask>, is_over: &Arc<AtomicU64>) -> JoinHandle<()> {
    let (ask, is_over) = (ask.clone(), is_over.clone());
    thread::spawn(move || {
        while is_over.load(Ordering::Acquire) == 0 {
            if ask.slot.due() == 9 {
                remind(&ask);
            }
            thread::yield_now();
        }
    })
}

#[test]
fn an_asker_whose_deadline_passes_while_it_sleeps_is_reminded() {
    up_to(3, || {
        let ask = Ask::new();
        ask.slot.reset(1, 9);
        let is_over = Arc::new(AtomicU64::new(0));
        let supervisor = remind_until(&ask, &is_over);
        let asker = Sleeper::new();
        // The host never replies: the asker looks once, sleeps, and only the reminder wakes it.
        let mut looks = 0;
        asker.block_on(|waker| {
            assert!(ask.poll(waker).is_none(), "no one has replied");
            looks += 1;
            (looks == 2).then_some(())
        });
        assert!(ask.abandon().is_none());
        assert!(ask.slot.is_abandoned());
        is_over.store(1, Ordering::Release);
        supervisor.join().unwrap();
        assert!(!asker.is_held(), "the slot keeps the asker's task alive");
    });
}

#[test]
fn of_host_and_asker_whose_deadline_passes_exactly_one_has_the_envelope() {
    up_to(3, || {
        let ask = Ask::new();
        let host = ask.send(mint(0), 7);
        let asker = Sleeper::new();
        let supervisor = {
            let ask = ask.clone();
            thread::spawn(move || remind(&ask))
        };
        // If the reply is not there, the asker gives up.
        let token = ask.poll(&asker.waker()).or_else(|| ask.abandon());
        if let Some(token) = &token {
            ask.slab.touch(token);
        }
        assert_eq!(host.join().unwrap(), token.is_some());
        supervisor.join().unwrap();
        assert!(!asker.is_held(), "the slot keeps the asker's task alive");
    });
}

#[test]
fn a_reminder_that_comes_too_late_does_not_break_the_next_ask() {
    up_to(2, || {
        let ask = Ask::new();
        let first = ask.send(mint(0), 7);
        let supervisor = {
            let ask = ask.clone();
            thread::spawn(move || remind(&ask))
        };
        let (reply, token) = ask.receive(&Sleeper::new());
        assert_eq!(reply, 7);
        ask_again(&ask, token);
        assert!(first.join().unwrap());
        supervisor.join().unwrap();
    });
}
