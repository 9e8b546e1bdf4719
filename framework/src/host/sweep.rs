//! The sweep: how messages end that have expired while they wait. `backlog → `**`sweep`**` → ends`
//!
//! A host looks at a message's deadline when its turn has come, which may be late: while a handler waits,
//! before a restart, in a halt, for what is kept for later. So anyone who gives an ask up tells its mailbox, and the
//! host's next turn goes through all that wait there and ends those that are over. Promise: an envelope is
//! given back at its message's deadline, whatever its host does.
//!
//! A sweep costs some 10 ns for each message that waits; that the next comes after [`PAUSE`] times what the last
//! took bounds the part of the thread's time that all of them take.

use std::time::Duration;

use super::batch::TurnBatch;
use super::ends::expire;
use super::{HostEnv, HostState};
use crate::base::clock::Stamp;
use crate::envelope::Envelope;
use crate::envelope::token::{Chain, Links, Token};

/// How many times as long as the last sweep took the next one waits, at the least.
const PAUSE: u64 = 16;

/// Fewer messages are swept at once.
const FEW: u64 = 64;

/// What a host knows of its sweeps.
#[derive(Debug, Default)]
pub(super) struct Sweeping {
    /// No sweep before this, as the clock's raw value; 0 for at any time.
    not_before: u64,
    /// It will be woken for the next one.
    is_put_off: bool,
    /// What waits here lies where senders can drop it, if any may.
    is_open: bool,
}

impl<S: 'static> HostState<S> {
    /// Ends all that wait here and have expired.
    #[cold]
    pub(super) fn sweep(&mut self, env: &HostEnv<S>, batch: &mut TurnBatch<'_>) {
        let (mailbox, clock) = (&env.mounted.mailbox, &env.shared.clock);
        let begun = clock.now();
        if begun.0 < self.lifecycle().sweeping.not_before {
            return self.put_off_sweep(env, begun);
        }
        mailbox.begin_sweep();
        let waiting = mailbox.waiting();
        self.lifecycle().sweeping.is_put_off = false;
        let mut over = self.take_out(env, |token| is_over(env, token, begun));
        // Its drop is the user's: not before all is in its place again.
        while let Some(token) = over.pop_front(&env.shared.pool.links) {
            let envelope = Envelope::new(&env.shared.pool.slab, token);
            expire(env, envelope, batch);
        }
        let ended = clock.now();
        let took = ended.0.saturating_sub(begun.0);
        self.lifecycle().sweeping.not_before = match waiting {
            0..FEW => 0,
            _ => ended.0.saturating_add(took.saturating_mul(PAUSE)),
        };
    }

    /// Has the host woken when it may sweep again.
    fn put_off_sweep(&mut self, env: &HostEnv<S>, now: Stamp) {
        let sweeping = &mut self.lifecycle().sweeping;
        if std::mem::replace(&mut sweeping.is_put_off, true) {
            return;
        }
        let until = Stamp(sweeping.not_before);
        let pause = Duration::from_nanos(env.shared.clock.between_ns(now, until));
        let mounted = env.mounted.clone();
        drop(actix_rt::spawn(async move {
            tokio::time::sleep(pause).await;
            mounted.mailbox.wake();
        }));
    }

    /// Takes out of all places where messages wait those that are over; the others keep their order.
    pub(super) fn take_out(
        &mut self,
        env: &HostEnv<S>,
        is_over: impl Fn(Token) -> (Token, bool),
    ) -> Chain {
        let links = &env.shared.pool.links;
        let mut over = Chain::new();
        // The oldest first.
        self.again.split_off(links, &mut over, &is_over);
        self.kept.split_off(links, &mut over, &is_over);
        self.tell_kept(env);
        match env.mounted.mailbox.lanes() {
            None => {
                if let Some(taken) = env.mounted.mailbox.inbox.take_for_receiver(links) {
                    self.account(env, taken);
                }
                self.backlog.split_off(links, &mut over, &is_over);
            }
            Some(lanes) => {
                self.open_room(env);
                let swept = lanes.sweep(&env.mounted.mailbox.inbox, links, &is_over);
                self.note_taken(env, swept.taken, swept.off);
                over.append(links, swept.over);
            }
        }
        over
    }

    /// Has what waits here lie where senders can drop it, if any may: the host takes no message now that
    /// would bring it there.
    #[inline]
    pub(super) fn open_room(&mut self, env: &HostEnv<S>) {
        if env.mounted.mailbox.lanes().is_some() {
            self.open_lanes(env);
        }
    }

    #[cold]
    fn open_lanes(&mut self, env: &HostEnv<S>) {
        if std::mem::replace(&mut self.lifecycle().sweeping.is_open, true) {
            return;
        }
        let links: &Links = &env.shared.pool.links;
        let mailbox = &env.mounted.mailbox;
        let backlog = (&mut self.backlog, self.ticket);
        if mailbox
            .lanes()
            .is_some_and(|lanes| lanes.open(links, backlog))
        {
            mailbox.recall();
        }
    }
}

/// A message, and whether its deadline has passed or its asker has gone.
fn is_over<S>(env: &HostEnv<S>, token: Token, now: Stamp) -> (Token, bool) {
    let envelope = Envelope::new(&env.shared.pool.slab, token);
    let head = envelope.head();
    let is_over = head.due.is_past(now) || head.is_ask && envelope.reply_slot().is_abandoned();
    (envelope.into_token(), is_over)
}
